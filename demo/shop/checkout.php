<?php
// The checkout. The order is bound to the visit here, while the browser is still with us: the payment provider's
// call comes later, from elsewhere, and knows the order number only.

declare(strict_types=1);

require __DIR__ . '/shop.php';
require __DIR__ . '/layout.php';

const FIELDS = ['email', 'phone', 'first_name', 'last_name', 'street', 'zip', 'city', 'country'];
const SAMPLE = [
    'email' => 'Jane.Doe@Example.com', 'phone' => '+49 30 901820', 'first_name' => 'Jane', 'last_name' => 'Doe',
    'street' => 'Karl-Marx-Allee 1', 'zip' => '10178', 'city' => 'Berlin', 'country' => 'DE',
];

open_visit();
$lines = cart_lines();
if (!$lines) {
    redirect('/cart.php');
}

/** What is wrong with the form, by field. */
function problems(array $form): array
{
    $problems = [];
    foreach (['first_name' => 'your first name', 'last_name' => 'your last name', 'zip' => 'a postcode', 'city' => 'a town'] as $name => $what) {
        if ($form[$name] === '') {
            $problems[$name] = "Please write $what.";
        }
    }
    if (!filter_var($form['email'], FILTER_VALIDATE_EMAIL)) {
        $problems['email'] = 'Please write an e-mail address, such as jane@example.com.';
    }
    if ($form['phone'] !== '' && !preg_match('/^\+?[0-9 ()\/-]{6,25}$/', $form['phone'])) {
        $problems['phone'] = 'Please write a phone number, such as +49 30 901820, or none.';
    }
    if (!isset(COUNTRIES[$form['country']])) {
        $problems['country'] = 'Please choose a country.';
    }
    return $problems;
}

/** Asks the payment provider for the money; its answer comes later, to webhook.php. */
function start_payment(array $order): bool
{
    $address = $_SERVER['SHOP_PAYMENTS'] ?? '';
    $body = json_encode(['order' => $order['id'], 'amount' => amount($order['cents']), 'currency' => CURRENCY]);
    $context = stream_context_create(['http' => [
        'method' => 'POST', 'header' => "Content-Type: application/json\r\n", 'content' => $body, 'timeout' => 5,
    ]]);
    return $address !== '' && @file_get_contents($address, false, $context) !== false;
}

function place_order(array $form, array $lines): void
{
    $order = ['id' => next_order_id(), 'lines' => $lines, 'cents' => cart_cents(), 'placed' => time(), 'paid' => null];
    save_order($order);
    capi('Bind', 'order:' . $order['id']);
    $wanted = speaks_guide() ? ['email', 'phone'] : ['email', 'phone', 'first_name', 'last_name', 'city', 'zip', 'country'];
    capi('Match', array_filter(array_intersect_key($form, array_flip($wanted)), 'strlen'));
    $_SESSION['order'] = $order['id'];
    $_SESSION['cart'] = [];
    $_SESSION['cart_id'] = random_int(10000, 99999999);
    $_SESSION['payment_started'] = start_payment($order);
    redirect('/thanks.php');
}

$form = array_fill_keys(FIELDS, '');
$form['country'] = 'DE';
$problems = [];
if (is_post()) {
    foreach (FIELDS as $name) {
        $form[$name] = field($_POST, $name);
    }
    $form['country'] = $form['country'] === '' ? 'DE' : $form['country'];
    $problems = problems($form);
    if (!$problems) {
        place_order($form, $lines);
    }
    http_response_code(422);
} else {
    $form = isset($_GET['sample']) ? SAMPLE : $form;
    // The guide's name for the start of a checkout; Pinterest's is initiate_checkout. One a cart, however often it is looked at.
    capi('Event', [
        'event_name' => 'checkout',
        'event_id' => "chk_{$_SESSION['cart_id']}_start",
        'custom_data' => custom_data($lines),
    ]);
}

function input(string $name, string $label, string $kind, string $autocomplete, array $form, array $problems, bool $required = true): void
{
    $problem = $problems[$name] ?? '';
    ?>
<label class="<?= e($name) ?>"><span><?= e($label) ?></span>
  <input type="<?= e($kind) ?>" name="<?= e($name) ?>" value="<?= e($form[$name]) ?>" autocomplete="<?= e($autocomplete) ?>"<?= $required ? ' required' : '' ?><?= $problem ? ' aria-invalid="true"' : '' ?>>
    <?= $problem ? '<em>' . e($problem) . '</em>' : '' ?>
</label>
    <?php
}

page_start('Checkout');
?>
<h1>Checkout</h1>
<form class="split" method="post" action="/checkout.php">
  <div class="form">
    <p class="hint">Only looking around? <a href="/checkout.php?sample=1">Fill in Jane Doe</a>.</p>
    <fieldset>
      <legend>How we reach you</legend>
<?php
input('email', 'E-mail', 'email', 'email', $form, $problems);
input('phone', 'Phone, optional', 'tel', 'tel', $form, $problems, false);
?>
    </fieldset>
    <fieldset>
      <legend>Where it goes</legend>
<?php
input('first_name', 'First name', 'text', 'given-name', $form, $problems);
input('last_name', 'Last name', 'text', 'family-name', $form, $problems);
input('street', 'Street and number', 'text', 'street-address', $form, $problems, false);
input('zip', 'Postcode', 'text', 'postal-code', $form, $problems);
input('city', 'Town', 'text', 'address-level2', $form, $problems);
?>
      <label class="country"><span>Country</span>
        <select name="country" autocomplete="country">
<?php foreach (COUNTRIES as $code => $name) { ?>
          <option value="<?= e($code) ?>"<?= $code === $form['country'] ? ' selected' : '' ?>><?= e($name) ?></option>
<?php } ?>
        </select>
        <?= isset($problems['country']) ? '<em>' . e($problems['country']) . '</em>' : '' ?>
      </label>
    </fieldset>
  </div>
  <aside class="panel">
    <h2>Your order</h2>
    <?php summary($lines); ?>
    <button class="button wide" data-test="place-order">Place the order</button>
    <p class="hint">This is a demo: no money moves, nothing is shipped.</p>
  </aside>
</form>
<?php
page_end();
