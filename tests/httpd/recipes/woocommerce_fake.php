<?php
// As much of WordPress and WooCommerce as the recipe touches.

declare(strict_types=1);

const ABSPATH = __DIR__;

$actions = [];

function add_action(string $name, callable $callback, int $priority = 10, int $accepted = 1): void
{
    global $actions;
    $actions[$name][] = [$callback, $accepted];
}

function do_action(string $name, ...$arguments): void
{
    global $actions;
    foreach ($actions[$name] ?? [] as [$callback, $accepted]) {
        $callback(...array_slice($arguments, 0, $accepted));
    }
}

function apply_filters(string $name, $value)
{
    return $value;
}

function is_admin(): bool
{
    return strpos($_SERVER['REQUEST_URI'], '/wp-admin/') === 0;
}

function wc_get_is_paid_statuses(): array
{
    return ['processing', 'completed'];
}

function wc_get_checkout_url(): string
{
    return 'http://localhost/checkout/';
}

final class WC_Order_Item_Product
{
    private $line;

    public function __construct(array $line)
    {
        $this->line = $line;
    }

    public function __call(string $name, array $arguments)
    {
        return $this->line[substr($name, strlen('get_'))] ?? 0;
    }
}

final class WC_Order
{
    private $data;

    public function __construct(array $data)
    {
        $this->data = $data;
    }

    public function get_items(): array
    {
        return array_map(static function (array $line) {
            return new WC_Order_Item_Product($line);
        }, $this->data['items']);
    }

    public function get_item_total(WC_Order_Item_Product $item, bool $withTax = false): float
    {
        return (float) $item->get_price();
    }

    public function __call(string $name, array $arguments)
    {
        return $this->data[substr($name, strlen('get_'))] ?? '';
    }
}

/** Arguments that are objects are orders. */
function fire(string $name, array $arguments): void
{
    do_action($name, ...array_map(static function ($argument) {
        return is_array($argument) && isset($argument['items']) ? new WC_Order($argument) : $argument;
    }, $arguments));
}
