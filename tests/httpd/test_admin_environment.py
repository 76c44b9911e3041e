"""Where the store is, is told to the CGI below its location and to nobody else."""

import pytest

from server import wait_for

CONF = """
PinterestCapiApiUrl http://127.0.0.1:9/v5
ScriptAlias /admin {cgi}/env
ScriptAlias /writer {cgi}/env
ScriptAlias /open {cgi}/env
ScriptAlias /closed {cgi}/env
<Directory {cgi}>
  Require all granted
</Directory>
SetEnv PINTEREST_CAPI_STORE "sqlite3 /somewhere/else"
SetEnv PINTEREST_CAPI_ADMIN Write
PinterestCapiRetention 12
<Location "/admin">
  PinterestCapiAdmin On
</Location>
<Location "/writer">
  PinterestCapiAdmin Write
</Location>
<Location "/admin/closed">
  PinterestCapiAdmin Off
</Location>
"""


@pytest.mark.parametrize("mpm,module", [("event", "cgid"), ("prefork", "cgi")])
def test_only_the_admin_location_learns_where_the_store_is(make_httpd, mpm, module):
    httpd = make_httpd(mpm=mpm, start=False, extra_modules=[module])
    if module == "cgid":
        httpd.top = f"ScriptSock {httpd.run}/cgid"
    script = httpd.root / "cgi/env"
    script.write_text("#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv\n")
    script.chmod(0o755)
    httpd.conf = CONF.replace("{cgi}", str(httpd.root / "cgi"))
    httpd.expect(r"PCAPI1\d\d")
    httpd.start()
    wait_for(httpd.senders, "a sender")

    def told(path):
        lines = httpd.get(path, {"PINTEREST_CAPI_ADMIN": "Write"}).text.splitlines()
        pairs = [line.partition("=")[::2] for line in lines]
        return {name: value for name, value in pairs if name.startswith("PINTEREST_CAPI_")}

    on = {"PINTEREST_CAPI_STORE": f"sqlite3 {httpd.state}/store.db", "PINTEREST_CAPI_ADMIN": "On",
          "PINTEREST_CAPI_RETENTION": "12"}
    assert told("/admin") == on
    assert told("/admin/deliveries/7") == on
    assert told("/writer") == {**on, "PINTEREST_CAPI_ADMIN": "Write"}
    assert told("/open") == told("/admin/closed") == {}
