;; Guest for Extism: returns its input, copied into its own memory and back out, as a plug-in kit does it.
;; Extism's runtime compiles this text itself. The host functions are those of Extism's kernel, version 1.
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (memory (export "memory") 1)

  ;; Input into our memory at 0: eight bytes at a time, then one at a time.
  (func $read_input (param $length i64)
    (local $at i64)
    (block $words_done
      (loop $words
        (br_if $words_done (i64.gt_u (i64.add (local.get $at) (i64.const 8)) (local.get $length)))
        (i64.store (i32.wrap_i64 (local.get $at)) (call $input_load_u64 (local.get $at)))
        (local.set $at (i64.add (local.get $at) (i64.const 8)))
        (br $words)))
    (block $bytes_done
      (loop $bytes
        (br_if $bytes_done (i64.ge_u (local.get $at) (local.get $length)))
        (i32.store8 (i32.wrap_i64 (local.get $at)) (call $input_load_u8 (local.get $at)))
        (local.set $at (i64.add (local.get $at) (i64.const 1)))
        (br $bytes))))

  ;; Our memory from 0 into a block of the kernel's, which becomes the output.
  (func $write_output (param $length i64)
    (local $at i64)
    (local $block i64)
    (local.set $block (call $alloc (local.get $length)))
    (block $words_done
      (loop $words
        (br_if $words_done (i64.gt_u (i64.add (local.get $at) (i64.const 8)) (local.get $length)))
        (call $store_u64
          (i64.add (local.get $block) (local.get $at))
          (i64.load (i32.wrap_i64 (local.get $at))))
        (local.set $at (i64.add (local.get $at) (i64.const 8)))
        (br $words)))
    (block $bytes_done
      (loop $bytes
        (br_if $bytes_done (i64.ge_u (local.get $at) (local.get $length)))
        (call $store_u8
          (i64.add (local.get $block) (local.get $at))
          (i32.load8_u (i32.wrap_i64 (local.get $at))))
        (local.set $at (i64.add (local.get $at) (i64.const 1)))
        (br $bytes)))
    (call $output_set (local.get $block) (local.get $length)))

  ;; At most one page of input; 1 (failed) where there is more.
  (func (export "echo") (result i32)
    (local $length i64)
    (local.set $length (call $input_length))
    (if (i64.gt_u (local.get $length) (i64.const 65536)) (then (return (i32.const 1))))
    (call $read_input (local.get $length))
    (call $write_output (local.get $length))
    (i32.const 0)))
