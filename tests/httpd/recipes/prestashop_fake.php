<?php
// As much of PrestaShop as the recipe touches: a module that registers its hooks, and the objects it reads by their ids.

declare(strict_types=1);

const _PS_VERSION_ = '8.1.0';

class FakeRow
{
    /** @var array<string, array<int, array<string, mixed>>> by class and id */
    public static $rows = [];

    private $row;

    public function __construct(int $id)
    {
        $this->row = (self::$rows[static::class][$id] ?? []) + ['id' => $id];
    }

    public function __get(string $name)
    {
        return $this->row[$name] ?? null;
    }

    public function __isset(string $name): bool
    {
        return isset($this->row[$name]);
    }

    public function __call(string $name, array $arguments)
    {
        return $this->row[$name];
    }
}

final class Order extends FakeRow
{
}

final class OrderState extends FakeRow
{
}

final class Customer extends FakeRow
{
}

final class Address extends FakeRow
{
}

final class State extends FakeRow
{
}

final class Currency extends FakeRow
{
}

final class Cart extends FakeRow
{
}

final class Country
{
    public static function getIsoById(int $id): string
    {
        return FakeRow::$rows['Country'][$id]['iso_code'];
    }
}

class Module
{
    public $name, $tab, $version, $author, $need_instance, $displayName, $description, $context;

    public $hooks = [];

    public function __construct()
    {
    }

    public function install()
    {
        return true;
    }

    public function registerHook($names)
    {
        $this->hooks = array_merge($this->hooks, (array) $names);
        return true;
    }
}

/** Arguments: page, cart, rows by class and id, parameters (`order`, `newCustomer`, `newOrderStatus` by id). */
function fire(string $name, array $arguments): void
{
    [$page, $cart, FakeRow::$rows, $parameters] = $arguments;
    $module = new PinterestCapiShop();
    $module->install() || exit('not installed');
    in_array($name, $module->hooks, true) || exit("not registered: $name");
    $module->context = (object) ['cart' => new Cart((int) $cart), 'currency' => new Currency(1),
        'controller' => (object) ['php_self' => $page]];
    foreach (['order' => 'Order', 'newCustomer' => 'Customer', 'newOrderStatus' => 'OrderState'] as $key => $class) {
        if (isset($parameters[$key])) {
            $parameters[$key] = new $class($parameters[$key]);
        }
    }
    $module->{'hook' . ucfirst($name)}($parameters);
}
