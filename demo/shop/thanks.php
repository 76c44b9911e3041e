<?php
// Thank you. The purchase is not reported from here: a page that people reload, or never see, is no place to count money.

declare(strict_types=1);

require __DIR__ . '/shop.php';
require __DIR__ . '/layout.php';

open_visit();
$order = load_order((string) ($_SESSION['order'] ?? ''));
if (!$order) {
    redirect('/');
}

page_start('Thank you');
?>
<section class="narrow thanks">
  <svg class="tick" viewBox="0 0 64 64" aria-hidden="true"><circle cx="32" cy="32" r="30"/><path d="M20 33l9 9 16-19"/></svg>
  <h1>Thank you.</h1>
  <p class="lead">Your order <b data-test="order-id"><?= e($order['id']) ?></b> is with us.
<?php if ($order['paid']) { ?>
    The payment has arrived.
<?php } elseif ($_SESSION['payment_started'] ?? false) { ?>
    The payment provider will tell us in a moment.
<?php } else { ?>
    The payment provider did not answer; nothing was charged.
<?php } ?>
  </p>
  <div class="panel"><?php summary($order['lines']); ?></div>
  <p><a class="button" href="/">Back to the shop</a></p>
</section>
<?php
page_end();
