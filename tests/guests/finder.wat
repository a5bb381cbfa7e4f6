;; Finds another agent by what it offers: a message from outside makes it ask the directory facilitator who offers
;; "sorting"; when that answers, it writes to the first agent that the answer names.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 4) ;; the message goes into the second page, what is sent is built in the third
  (data (i32.const 16) "\"sender\":\"df\"")
  (data (i32.const 48) "\"agent\":\"")
  (data (i32.const 80) "{\"performative\":\"inform\",\"content\":\"found you\",\"receiver\":\"")
  (data (i32.const 256) "{\"performative\":\"request\",\"receiver\":\"df\",\"protocol\":\"fipa-request\",\"conversation_id\":\"search\",\"reply_with\":\"search-1\",\"content\":{\"action\":\"search\",\"capability\":\"sorting\",\"max_results\":1}}")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))

  ;; Where the text at $needle begins in the text at $ptr, counted from there; -1: nowhere.
  (func $find (param $ptr i32) (param $len i32) (param $needle i32) (param $size i32) (result i32)
    (local $at i32) (local $n i32)
    (block $nowhere
      (loop $next
        (br_if $nowhere (i32.gt_u (i32.add (local.get $at) (local.get $size)) (local.get $len)))
        (local.set $n (i32.const 0))
        (block $other
          (loop $same
            (br_if $other
              (i32.ne
                (i32.load8_u (i32.add (local.get $ptr) (i32.add (local.get $at) (local.get $n))))
                (i32.load8_u (i32.add (local.get $needle) (local.get $n)))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $same (i32.lt_u (local.get $n) (local.get $size)))
            (return (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    i32.const -1)

  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (local $at i32) (local $end i32) (local $byte i32)
    (if (i32.lt_s (call $find (local.get $ptr) (local.get $len) (i32.const 16) (i32.const 13)) (i32.const 0))
      (then (return (call $send (i32.const 256) (i32.const 188)))))
    (local.set $at (call $find (local.get $ptr) (local.get $len) (i32.const 48) (i32.const 9)))
    (if (i32.lt_s (local.get $at) (i32.const 0)) (then (return (i32.const 0)))) ;; nobody
    (memory.copy (i32.const 131072) (i32.const 80) (i32.const 59))
    (local.set $at (i32.add (i32.add (local.get $ptr) (local.get $at)) (i32.const 9)))
    (local.set $end (i32.const 131131))
    (loop $name
      (local.set $byte (i32.load8_u (local.get $at)))
      (i32.store8 (local.get $end) (local.get $byte))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br_if $name (i32.ne (local.get $byte) (i32.const 34)))) ;; up to the quote
    (i32.store8 (local.get $end) (i32.const 125))
    (call $send (i32.const 131072) (i32.sub (i32.add (local.get $end) (i32.const 1)) (i32.const 131072))))
)
