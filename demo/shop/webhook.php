<?php
// The payment provider calls this when an order is paid: signed JSON, no cookies, an address that is nobody's browser.
// mod_pinterest_capi completes the purchase from what checkout.php bound to the order.

declare(strict_types=1);

require __DIR__ . '/shop.php';

function answer(int $status, string $message): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode(['message' => $message]), "\n";
    exit;
}

if (!is_post()) {
    header('Allow: POST');
    answer(405, 'POST only');
}
$body = (string) file_get_contents('php://input', false, null, 0, 65536);
$secret = trim((string) @file_get_contents(data_file('payment.key')));
$signature = (string) ($_SERVER['HTTP_X_PAYMENT_SIGNATURE'] ?? '');
if ($secret === '' || !hash_equals(hash_hmac('sha256', $body, $secret), $signature)) {
    answer(403, 'wrong signature');
}
$call = json_decode($body, true);
$id = is_array($call) && is_scalar($call['order'] ?? null) ? (string) $call['order'] : '';
$order = load_order($id);
if (!$order) {
    answer(404, 'no such order');
}
if (!$order['paid']) {
    $order['paid'] = time();
    save_order($order);
}
// A provider repeats calls. The id says which purchase it is, so a repeated call is the same event.
$event = [
    'event_name' => 'checkout_complete',
    'event_id' => "ord_{$id}_purchase",
    'event_time' => $order['paid'],
    'custom_data' => custom_data($order['lines']),
];
$event += speaks_guide() ? ['context' => "order:$id"] : ['order_id' => $id];
capi('Event', $event);
answer(200, 'thank you');
