<?php
// What every page of the shop needs: goods, visit, orders, and words to mod_pinterest_capi.

declare(strict_types=1);

require __DIR__ . '/goods.php';

const CURRENCY = 'EUR';
const CATEGORIES = ['ceramics' => 'Ceramics', 'light' => 'Light', 'textiles' => 'Textiles'];
const COUNTRIES = ['DE' => 'Germany', 'AT' => 'Austria', 'CH' => 'Switzerland', 'FR' => 'France', 'NL' => 'Netherlands'];
const CART_MAX = 20;

/** Text that may stand in HTML, attributes included. */
function e($text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** Cents as the API and people in Europe write them: 129.95. */
function amount(int $cents): string
{
    return sprintf('%d.%02d', intdiv($cents, 100), $cents % 100);
}

function price(int $cents): string
{
    return '€ ' . amount($cents);
}

function redirect(string $path): void
{
    header('Location: ' . $path, true, 303);
    exit;
}

/** A posted field, or one of the query, as trimmed text; arrays and broken UTF-8 are no text. */
function field(array $from, string $name, int $max = 200): string
{
    $text = $from[$name] ?? '';
    if (!is_string($text) || !preg_match('//u', $text)) {
        return '';
    }
    return (string) preg_replace('/^(.{0,' . $max . '}).*$/us', '$1', trim($text));
}

function is_post(): bool
{
    return ($_SERVER['REQUEST_METHOD'] ?? '') === 'POST';
}

// --- the visit: a plain PHP session, as most shops have it ---

function open_visit(): void
{
    session_set_cookie_params(['httponly' => true, 'samesite' => 'Lax', 'path' => '/']);
    session_start();
    if (!isset($_SESSION['cart_id'])) {
        $_SESSION['cart_id'] = random_int(10000, 99999999);
        $_SESSION['adds'] = 0;
        $_SESSION['cart'] = [];
    }
}

/** The cart's lines: product, quantity, cents. */
function cart_lines(): array
{
    $lines = [];
    foreach ($_SESSION['cart'] as $sku => $quantity) {
        $product = product((string) $sku);
        if ($product) {
            $lines[] = ['product' => $product, 'quantity' => $quantity, 'cents' => $quantity * $product['cents']];
        }
    }
    return $lines;
}

function cart_cents(): int
{
    return array_sum(array_column(cart_lines(), 'cents'));
}

function cart_count(): int
{
    return array_sum($_SESSION['cart']);
}

// --- orders: one JSON file each, beside the documents ---

function data_file(string $name): string
{
    return ($_SERVER['SHOP_DATA'] ?? sys_get_temp_dir()) . '/' . $name;
}

/** The next order number. Numbers rise and are never used twice. */
function next_order_id(): string
{
    $file = fopen(data_file('last-order'), 'c+');
    flock($file, LOCK_EX);
    $id = max(10491, (int) stream_get_contents($file)) + 1;
    ftruncate($file, 0);
    rewind($file);
    fwrite($file, (string) $id);
    fclose($file);
    return (string) $id;
}

function save_order(array $order): void
{
    $path = data_file('order-' . $order['id'] . '.json');
    file_put_contents($path . '.new', json_encode($order));
    rename($path . '.new', $path);
}

function load_order(string $id): ?array
{
    if (!preg_match('/^\d{1,12}$/', $id) || !is_file(data_file("order-$id.json"))) {
        return null;
    }
    return json_decode((string) file_get_contents(data_file("order-$id.json")), true);
}

// --- what the shop tells mod_pinterest_capi: response headers, which no client ever sees ---

/** True where the purchase is to look like the guide's example, field for field. */
function speaks_guide(): bool
{
    return ($_SERVER['SHOP_LETTER'] ?? '') === 'guide';
}

function capi(string $header, $value): void
{
    $text = is_string($value) ? $value : json_encode($value, JSON_UNESCAPED_SLASHES);
    header("Pinterest-Capi-$header: $text", false);
}

/** value, currency and products of some lines of a cart or order. */
function custom_data(array $lines): array
{
    $data = [
        'value' => amount(array_sum(array_column($lines, 'cents'))),
        'currency' => CURRENCY,
        'content_ids' => array_map('strval', array_column(array_column($lines, 'product'), 'sku')),
    ];
    if (!speaks_guide()) {
        $data['contents'] = array_map(function (array $line): array {
            return [
                'id' => $line['product']['sku'],
                'quantity' => $line['quantity'],
                'item_price' => amount($line['product']['cents']),
                'item_name' => $line['product']['name'],
            ];
        }, $lines);
    }
    return $data;
}
