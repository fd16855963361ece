// Command client carries out one case against the sidecar with net/http over HTTP/2 (prior knowledge).
//
// Usage: client CASE BASE SIZE. It exits with 1 and a reason when something is not as expected.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The block that bodies repeat; see upstream.py.
var block = func() []byte {
	made := make([]byte, 65521)
	for i := range made {
		made[i] = byte(i*7 + i/251)
	}
	return made
}()

// pattern reads a body of `left` bytes.
type pattern struct{ at, left int }

func (p *pattern) Read(into []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(into, block[p.at:])
	n = min(n, p.left)
	p.at = (p.at + n) % len(block)
	p.left -= n
	return n, nil
}

func digest(of io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, of)
	return hex.EncodeToString(sum.Sum(nil)), err
}

func expect(what string, got, want any) error {
	if got != want {
		return fmt.Errorf("%s is %.200v, not %.200v", what, got, want)
	}
	return nil
}

// run is one run of a case.
type run struct {
	client *http.Client
	base   string
	size   int
}

func newTransport(window int) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, ExpectContinueTimeout: time.Minute, MaxConnsPerHost: 1}
	if window > 0 {
		transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window}
	}
	return transport
}

func (r *run) send(method, path string, body io.Reader, fields ...string) (*http.Response, error) {
	request, err := http.NewRequest(method, r.base+path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	response, err := r.client.Do(request)
	if err == nil && response.ProtoMajor != 2 {
		return nil, fmt.Errorf("the answer has %s", response.Proto)
	}
	return response, err
}

// readAll sends a request and reads the answer to its end; trailers are known only then.
func (r *run) readAll(request *http.Request) (*http.Response, string, error) {
	response, err := r.client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func (r *run) text(method, path string, body io.Reader, status int, want string, fields ...string) error {
	response, err := r.send(method, path, body, fields...)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if err := expect("status", response.StatusCode, status); err != nil {
		return err
	}
	return expect("body", string(got), want)
}

func (r *run) get() error { return r.text("GET", "/get", nil, 200, "got it") }

func (r *run) head() error {
	response, err := r.send("HEAD", "/get", nil)
	if err != nil {
		return err
	}
	return expect("length", response.ContentLength, int64(6))
}

func (r *run) post() error {
	return r.text("POST", "/echo", strings.NewReader("ping"), 200, "ping")
}

func (r *run) field() error {
	large := strings.Repeat("x", 30000)
	response, err := r.send("GET", "/field", nil, "X-Large", large)
	if err != nil {
		return err
	}
	return expect("field", response.Header.Get("X-Large"), large)
}

func (r *run) expected() string {
	want, _ := digest(&pattern{0, r.size})
	return want
}

func (r *run) upload() error {
	return r.text("POST", "/digest", &pattern{0, r.size}, 200, r.expected())
}

func (r *run) continued() error {
	return r.text("POST", "/digest", &pattern{0, r.size}, 200, r.expected(), "Expect", "100-continue")
}

func (r *run) whole(response *http.Response, size int) error {
	defer response.Body.Close()
	got, err := digest(response.Body)
	if err != nil {
		return err
	}
	want, _ := digest(&pattern{0, size})
	return expect("digest", got, want)
}

func (r *run) download() error {
	response, err := r.send("GET", "/pattern/"+strconv.Itoa(r.size), nil)
	if err != nil {
		return err
	}
	return r.whole(response, r.size)
}

func (r *run) windows() error {
	r.client.Transport = newTransport(1000)
	return r.download()
}

func (r *run) both() error {
	response, err := r.send("POST", "/echo", &pattern{0, r.size})
	if err != nil {
		return err
	}
	return r.whole(response, r.size)
}

func (r *run) streams() error {
	var group sync.WaitGroup
	faults := make(chan error, 1000)
	for i := range 1000 {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := r.text("GET", "/item/"+strconv.Itoa(i), nil, 200, "item "+strconv.Itoa(i)); err != nil {
				faults <- err
			}
		}()
	}
	group.Wait()
	close(faults)
	return <-faults
}

func (r *run) trailers() error {
	request, err := http.NewRequest("POST", r.base+"/trailers", strings.NewReader("body"))
	if err != nil {
		return err
	}
	request.ContentLength = -1
	request.Trailer = http.Header{"Asked": {"yes"}}
	response, body, err := r.readAll(request)
	if err != nil {
		return err
	}
	got := response.Trailer
	return expect("answer", fmt.Sprintln(body, got["Checksum"], got["More"], got["Asked"]),
		"body [abc] [1, 2] [yes]\n")
}

func (r *run) interim() error {
	var links []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		links = append(links, fmt.Sprint(code, header.Get("Link")))
		return nil
	}}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace),
		"GET", r.base+"/hints", nil)
	if err != nil {
		return err
	}
	_, body, err := r.readAll(request)
	if err != nil {
		return err
	}
	return expect("answer", fmt.Sprint(links, body),
		"[103</a.css>; rel=preload 103</b.css>; rel=preload]got it")
}

func (r *run) cancel() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", r.base+"/endless", nil)
	if err != nil {
		return err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	got := make([]byte, len(block))
	for range 16 {
		if _, err := io.ReadFull(response.Body, got); err != nil {
			return err
		}
		if !bytes.Equal(got, block) {
			return fmt.Errorf("the body differs")
		}
	}
	cancel()
	return r.get() // on the same connection
}

func (r *run) early() error {
	return r.text("POST", "/early", &pattern{0, r.size}, 413, "too large")
}

func (r *run) goaway() error {
	response, err := r.send("GET", "/goaway", nil)
	if err != nil {
		return err
	}
	if err := r.whole(response, 2*len(block)); err != nil {
		return err
	}
	if err := r.text("GET", "/unprocessed", nil, 200, "got it"); err != nil {
		return err
	}
	return r.get()
}

func (r *run) drain() error {
	response, err := r.send("GET", "/halves", nil)
	if err != nil {
		return err
	}
	return r.whole(response, 2*len(block))
}

func main() {
	size, err := strconv.Atoi(os.Args[3])
	r := &run{&http.Client{Transport: newTransport(0)}, os.Args[2], size}
	cases := map[string]func() error{
		"get": r.get, "head": r.head, "post": r.post, "field": r.field, "upload": r.upload,
		"download": r.download, "both": r.both, "windows": r.windows, "streams": r.streams, "trailers": r.trailers,
		"interim": r.interim, "continue": r.continued, "cancel": r.cancel, "early": r.early, "goaway": r.goaway,
		"drain": r.drain,
	}
	if err == nil {
		err = cases[os.Args[1]]()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
