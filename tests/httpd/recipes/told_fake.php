<?php
// An object that answers as a table says: getX() and isX() by their names, last() and the like by theirs, get(KEY) by key.

declare(strict_types=1);

final class Told
{
    private $data;

    public function __construct(array $data)
    {
        $this->data = $data;
    }

    public function __call(string $name, array $arguments)
    {
        if ($name === 'get' || $name === 'getOrigData' || $name === 'getPayloadValue') {
            $from = $name === 'get' ? $this->data : ($this->data[lcfirst(substr($name, 3))] ?? []);
            return self::tell($from[$arguments[0]] ?? null);
        }
        if ($name === 'getPayload') {
            return $this->data['payload'];
        }
        return self::tell($this->data[strncmp($name, 'get', 3) === 0 ? lcfirst(substr($name, 3)) : $name] ?? null);
    }

    public static function tell($value)
    {
        if (!is_array($value)) {
            return $value;
        }
        if ($value !== [] && !isset($value[0])) {
            return new self($value);
        }
        return array_map([self::class, 'tell'], $value);
    }
}
