<?php
// The bag. What is put in is reported from here, with an id that a repeated request does not change.

declare(strict_types=1);

require __DIR__ . '/shop.php';
require __DIR__ . '/layout.php';

open_visit();

function add_to_cart(array $product, int $quantity): void
{
    $sku = $product['sku'];
    $_SESSION['cart'][$sku] = min(CART_MAX, ($_SESSION['cart'][$sku] ?? 0) + $quantity);
    $_SESSION['adds']++;
    capi('Event', [
        'event_name' => 'add_to_cart',
        'event_id' => "cart_{$_SESSION['cart_id']}_add_{$_SESSION['adds']}",
        'custom_data' => custom_data([
            ['product' => $product, 'quantity' => $quantity, 'cents' => $quantity * $product['cents']],
        ]),
    ]);
}

if (is_post()) {
    $product = product(field($_POST, 'sku'));
    $quantity = max(0, min(CART_MAX, (int) field($_POST, 'quantity')));
    if ($product && field($_POST, 'action') === 'add' && $quantity > 0) {
        add_to_cart($product, $quantity);
    } elseif ($product && $quantity > 0) {
        $_SESSION['cart'][$product['sku']] = $quantity;
    } elseif ($product) {
        unset($_SESSION['cart'][$product['sku']]);
    }
    redirect('/cart.php');
}

page_start('Your bag');
$lines = cart_lines();
if (!$lines) {
    ?>
<section class="narrow">
  <h1>Your bag is empty.</h1>
  <p class="lead">Room for something good.</p>
  <p><a class="button" href="/#goods">See the collection</a></p>
</section>
    <?php
    page_end();
    exit;
}
?>
<h1>Your bag</h1>
<div class="split">
  <ul class="bagged">
<?php foreach ($lines as $line) { $product = $line['product']; ?>
    <li>
      <a class="thumb <?= e($product['category']) ?>" href="/product.php?product_id=<?= e($product['sku']) ?>"><?= art($product['sku']) ?></a>
      <div>
        <h2><?= e($product['name']) ?></h2>
        <p><?= e($product['line']) ?></p>
        <form method="post" action="/cart.php">
          <input type="hidden" name="sku" value="<?= e($product['sku']) ?>">
          <label>Quantity <input type="number" name="quantity" value="<?= e($line['quantity']) ?>" min="0" max="<?= CART_MAX ?>" inputmode="numeric"></label>
          <button class="quiet">Update</button>
          <button class="quiet" name="quantity" value="0">Remove</button>
        </form>
      </div>
      <p class="price"><?= e(price($line['cents'])) ?></p>
    </li>
<?php } ?>
  </ul>
  <aside class="panel">
    <h2>Summary</h2>
    <?php summary($lines); ?>
    <a class="button wide" href="/checkout.php" data-test="checkout">To checkout</a>
    <p class="hint"><a href="/#goods">Keep looking</a></p>
  </aside>
</div>
<?php
page_end();
