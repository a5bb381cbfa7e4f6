;; handle_message sends to "sink" a message whose content is nested 100,000 deep, and returns 0 whatever
;; the host answers.
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (memory (export "memory") 6)
  (data (i32.const 131072) "{\"performative\":\"inform\",\"receiver\":\"sink\",\"content\":")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (memory.fill (i32.const 131125) (i32.const 91) (i32.const 100000)) ;; [
    (memory.fill (i32.const 231125) (i32.const 93) (i32.const 100000)) ;; ]
    (i32.store8 (i32.const 331125) (i32.const 125)) ;; }
    (drop (call $send_message (i32.const 131072) (i32.const 200054)))
    i32.const 0)
)
