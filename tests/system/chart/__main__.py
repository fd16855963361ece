"""`make chart`: write what follows from the values, the program and the dashboard's description."""

from tests.system.chart import dashboard, generate

generate.SCHEMA.write_text(generate.schema())
generate.DEFAULTS.write_text(generate.defaults())
generate.README.write_text(generate.readme())
dashboard.FILE.write_text(dashboard.dashboard())
