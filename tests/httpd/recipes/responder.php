<?php
// Every page of a shop that is not there: answers the step that X-Step names as the shop answered it, after firing the
// shop's hooks, so that the recipe's own PHP runs.

declare(strict_types=1);

$table = json_decode((string) file_get_contents(__DIR__ . '/steps.json'), true);
$step = $table['steps'][(int) ($_SERVER['HTTP_X_STEP'] ?? -1)];
$answer = $step['answer'];

foreach ($table['files'] as $file) {
    require_once $file;
}
foreach ($step['hooks'] as [$name, $arguments]) {
    fire($name, $arguments);
}
http_response_code($answer['status']);
header('Content-Type: ' . $answer['type']);
foreach ($answer['headers'] as [$name, $value]) {
    header("$name: $value", false);
}
echo $answer['body'];
