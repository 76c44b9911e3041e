"""OpenCart 3: see opencart.py."""

from opencart import steps

FILES = ["opencart_fake.php", "opencart3.php"]
CONF = "opencart.conf"
STEPS = steps(3)
