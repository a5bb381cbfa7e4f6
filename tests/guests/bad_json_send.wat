;; handle_message calls send_message with text that is no message: cut short, an array, bytes that are
;; not UTF-8, no performative, no such performative, no receiver. Returns 0 if the host answered -1
;; each time, else the number of the first case with another answer.
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"sink\"")
  (data (i32.const 64) "[1,2,3]")
  (data (i32.const 80) "{\"performative\":\"inform\",\"receiver\":\"sink\",\"content\":\"\ff\fe\"}")
  (data (i32.const 144) "{\"receiver\":\"sink\",\"content\":1}")
  (data (i32.const 176) "{\"performative\":\"shout\",\"receiver\":\"sink\"}")
  (data (i32.const 224) "{\"performative\":\"inform\",\"content\":1}")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (if (i32.ne (call $send_message (i32.const 16) (i32.const 42)) (i32.const -1))
      (then (return (i32.const 1))))
    (if (i32.ne (call $send_message (i32.const 64) (i32.const 7)) (i32.const -1))
      (then (return (i32.const 2))))
    (if (i32.ne (call $send_message (i32.const 80) (i32.const 58)) (i32.const -1))
      (then (return (i32.const 3))))
    (if (i32.ne (call $send_message (i32.const 144) (i32.const 31)) (i32.const -1))
      (then (return (i32.const 4))))
    (if (i32.ne (call $send_message (i32.const 176) (i32.const 42)) (i32.const -1))
      (then (return (i32.const 5))))
    (if (i32.ne (call $send_message (i32.const 224) (i32.const 37)) (i32.const -1))
      (then (return (i32.const 6))))
    i32.const 0)
)
