"""make bench: what a request costs, and what a delivery costs. Ratios within one run count;
absolute figures are this machine's, on this day."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "httpd"), str(HERE.parents[1] / "demo")]

import delivery  # noqa: E402
import instructions  # noqa: E402
import overhead  # noqa: E402
import page  # noqa: E402


def main():
    wanted = sys.argv[1:] or ["instructions", "overhead", "delivery", "page"]
    sink = delivery.Sink()
    try:
        if "instructions" in wanted:
            instructions.main(sink)
        if "overhead" in wanted:
            overhead.main(sink)
    finally:
        sink.close()
    if "delivery" in wanted:
        delivery.main()
    if "page" in wanted:
        page.main()


main()
