"""OpenCart 4: see opencart.py."""

from opencart import steps

FILES = ["opencart_fake.php", "opencart4.php"]
CONF = "opencart.conf"
STEPS = steps(4)
