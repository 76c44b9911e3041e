#!/bin/sh
# Installs the Debian packages that `demo` or `check` needs and that are missing. Elsewhere, or
# without root, it says what to install.
set -eu
build='gcc libc6-dev apache2-bin apache2-dev libjansson-dev libcurl4-openssl-dev libssl-dev
       libpcre2-dev libexpat1-dev libsqlite3-dev libaprutil1-dev libaprutil1-dbd-sqlite3'
run='libapache2-mod-php python3 python3-jsonschema openssl ca-certificates'
test='check valgrind apache2-suexec-pristine php-fpm php-cli php-curl python3-pytest
      python3-selenium python3-hypothesis python3-h2 faketime python3-phonenumbers chromium chromium-driver
      postgresql libaprutil1-dbd-pgsql mariadb-server-core mariadb-client-core libaprutil1-dbd-mysql
      sqlite3 curl clang clang-format clang-tidy cppcheck prometheus tidy'
case "$1" in
demo) wanted="$build $run" ;;
check) wanted="$build $run $test" ;;
*) echo "usage: $0 demo|check" >&2; exit 2 ;;
esac
# npm may have come with a Node.js of another source.
[ "$1" = check ] && ! command -v npm >/dev/null && wanted="$wanted npm"
missing=
for package in $wanted; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "Please install:$missing" >&2
    exit 1
fi
echo "Installing:$missing"
# A web server that the packages would start is none of ours: forbid it for this one call.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $missing >/dev/null
