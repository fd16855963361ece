"""An application that sends a plain request every few seconds. It knows no token."""

import sys
import time
from http.client import HTTPConnection

while True:
    connection = HTTPConnection("127.0.0.1", 9180, timeout=20)
    try:
        connection.request("GET", "/hello")
        answer = connection.getresponse()
        sys.stdout.write(f"{answer.status} {answer.read().decode()}\n")
    except OSError as error:
        sys.stdout.write(f"{error}\n")
    finally:
        connection.close()
    time.sleep(5)
