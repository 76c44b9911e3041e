<?php
/**
 * Tells mod_pinterest_capi what happens in the shop. One file, PHP 7.4 to 8.4, no dependency.
 *
 *     PinterestCapi::bind("order:$id");                               // when the order is placed
 *     PinterestCapi::match(['email' => $email, 'phone' => $phone]);
 *     PinterestCapi::event(['event_name' => 'purchase', 'event_id' => "ord_{$id}_purchase",
 *         'order_id' => (string) $id,                                 // when it is paid
 *         'custom_data' => ['value' => '129.95', 'currency' => 'EUR']]);
 *
 * In a web request it speaks through response headers, which the module takes out again; where the
 * module is not at work it says nothing at all. From the command line, and once headers are gone,
 * it posts to the endpoint of the shop's own server: PINTEREST_CAPI_ENDPOINT in the environment or
 * as a constant, for example http://127.0.0.1/v5/ad_accounts/549755885175/events. Nothing here
 * throws, prints or waits longer than two seconds.
 */
final class PinterestCapi
{
    /** php-fpm turns one header line of 8190 bytes into an error page. */
    private const LINE_MAX = 7500;

    /** @var array<string, mixed> match keys said where there was no header to say them in */
    private static $user = [];

    /** @var array<string, int> events of each name that were given an id */
    private static $named = [];

    /**
     * One event, in the fields of Pinterest's API. Its name is read in the guide's vocabulary
     * (`purchase`, `checkout` for the start) unless 'names' => 'pinterest' says otherwise.
     * False where nobody took it.
     *
     * @param array<string, mixed> $event
     */
    public static function event(array $event): bool
    {
        $event += ['names' => 'guide'];
        if (self::hasHeaders()) {
            return self::sendHeader('Event', $event);
        }
        return self::isAbsent() ? false : self::post($event);
    }

    /**
     * Match keys of this visitor, raw or hashed: email, phone, first_name, last_name, city, state,
     * zip, country, gender, birthdate, external_id.
     *
     * @param array<string, mixed> $keys
     */
    public static function match(array $keys): bool
    {
        $keys = array_filter($keys, static function ($value) {
            return $value !== null && $value !== '' && $value !== [];
        });
        if (!self::hasHeaders()) {
            self::$user = $keys + self::$user;
            return !self::isAbsent();
        }
        return $keys === [] || self::sendHeader('Match', $keys);
    }

    /** Ties this visit to a key such as order:10492, under which a webhook finds it again. */
    public static function bind(string $key): bool
    {
        if (!self::hasHeaders() || preg_match('/^[^\x00-\x1f\x7f]{1,256}$/D', $key) !== 1) {
            return false;
        }
        header('Pinterest-Capi-Bind: ' . $key, false);
        return true;
    }

    /** The visitor's decision, stronger than every signal. */
    public static function consent(bool $granted): bool
    {
        if (!self::hasHeaders()) {
            return false;
        }
        header('Pinterest-Capi-Consent: ' . ($granted ? 'granted' : 'denied'));
        return true;
    }

    /** The id that an event of this name has in this request, for the Tag on the page; '' where the
     * module is not at work. Ask once for each event. */
    public static function eventId(string $name): string
    {
        $id = (string) ($_SERVER['PINTEREST_EVENT_ID'] ?? '');
        if ($id === '' || $name === 'page_visit') {
            return $id;
        }
        $count = self::$named[$name] = (self::$named[$name] ?? 0) + 1;
        return $id . '-' . $name . ($count > 1 ? '-' . $count : '');
    }

    /** A web request whose response headers can still be set, and a module that takes them out. */
    private static function hasHeaders(): bool
    {
        return isset($_SERVER['PINTEREST_CONSENT']) && !self::isCommandLine() && !headers_sent();
    }

    /** A web request on a server where the module is not at work. */
    private static function isAbsent(): bool
    {
        return !self::isCommandLine() && !isset($_SERVER['PINTEREST_CONSENT']);
    }

    private static function isCommandLine(): bool
    {
        return PHP_SAPI === 'cli' || PHP_SAPI === 'phpdbg';
    }

    /** @param array<string, mixed> $value */
    private static function sendHeader(string $what, array $value): bool
    {
        $text = self::encode($value);
        if ($text === '') {
            return false;
        }
        if (strlen($text) < self::LINE_MAX) {
            header("Pinterest-Capi-$what: $text", false);
            return true;
        }
        if ($what !== 'Event') {
            return self::sendEach($what, $value);
        }
        $pieces = str_split(rtrim(strtr(base64_encode($text), '+/', '-_'), '='), self::LINE_MAX - 60);
        foreach ($pieces as $index => $piece) {
            header(sprintf('Pinterest-Capi-Event: ~%d/%d %s', $index + 1, count($pieces), $piece),
                false);
        }
        return true;
    }

    /**
     * One line for each key; what no line can hold is left out.
     *
     * @param array<string, mixed> $value
     */
    private static function sendEach(string $what, array $value): bool
    {
        $isWhole = count($value) > 1;
        foreach ($isWhole ? $value : [] as $key => $one) {
            $isWhole = self::sendHeader($what, [$key => $one]) && $isWhole;
        }
        return $isWhole;
    }

    /** @param array<string, mixed> $value */
    private static function encode(array $value): string
    {
        $precision = ini_set('serialize_precision', '-1');
        $text = json_encode($value, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE
            | JSON_PARTIAL_OUTPUT_ON_ERROR);
        if ($precision !== false) {
            ini_set('serialize_precision', $precision);
        }
        return $text === false ? '' : $text;
    }

    private static function endpoint(): string
    {
        return defined('PINTEREST_CAPI_ENDPOINT') ? (string) constant('PINTEREST_CAPI_ENDPOINT')
            : (string) ($_SERVER['PINTEREST_CAPI_ENDPOINT'] ?? getenv('PINTEREST_CAPI_ENDPOINT'));
    }

    /** @param array<string, mixed> $event */
    private static function post(array $event): bool
    {
        $endpoint = self::endpoint();
        if ($endpoint === '') {
            return false;
        }
        $body = self::encode(['data' => [self::complete($event)]]);
        $context = stream_context_create(['http' => ['method' => 'POST', 'timeout' => 2,
            'ignore_errors' => true, 'follow_location' => 0, 'content' => $body,
            'header' => "Content-Type: application/json\r\nConnection: close"]]);
        $http_response_header = [];
        $answer = @file_get_contents($endpoint, false, $context);
        return $answer !== false
            && preg_match('#^HTTP/\S+ 200\b#', $http_response_header[0] ?? '') === 1;
    }

    /**
     * True where this request need not be the shopper's: a payment provider's call has no cookies.
     *
     * @param array<string, mixed> $event
     */
    private static function isForeign(array $event): bool
    {
        return isset($event['context']) || (isset($event['order_id']) && $_COOKIE === []
            && !isset($_SERVER['PINTEREST_EPIK']));
    }

    /**
     * What a header would have carried by itself: time, and in a web request the shopper, unless
     * the event is completed from the visit that its context or order names.
     *
     * @param array<string, mixed> $event
     * @return array<string, mixed>
     */
    private static function complete(array $event): array
    {
        $event += ['action_source' => 'web', 'event_time' => time()];
        $user = (array) ($event['user_data'] ?? []) + self::$user;
        if (!self::isCommandLine() && !self::isForeign($event)) {
            $user += array_filter(['click_id' => $_SERVER['PINTEREST_EPIK'] ?? null,
                'client_ip_address' => $_SERVER['REMOTE_ADDR'] ?? null,
                'client_user_agent' => $_SERVER['HTTP_USER_AGENT'] ?? null]);
            $event += ['consent' => $_SERVER['PINTEREST_CONSENT'] === 'granted' ? 'granted'
                : 'denied'];
        }
        if ($user !== []) {
            $event['user_data'] = $user;
        }
        return $event;
    }
}
