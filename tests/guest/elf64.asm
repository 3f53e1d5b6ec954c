; A plain 64-bit ELF file without any header of a boot protocol, written out by hand: it starts in
; 64-bit mode with memory mapped one to one.

	org 0x400000
	bits 64
%include "serial.inc"

	db 0x7f, "ELF", 2, 1, 1, 0
	dq 0
	dw 2, 62			; executable, x86-64
	dd 1
	dq start, 64, 0			; entry, program headers, no sections
	dd 0
	dw 64, 56, 1, 0, 0, 0
	dd 1, 7				; PT_LOAD, read, write and execute
	dq 0, 0x400000, 0x400000, file_end - $$, file_end - $$ + 8192, 4096

start:	mov rsp, file_end + 8192
	; The prefix of these makes them INC and DEC in 32-bit code.
	mov r8d, 0x12345678
	cmp r8, 0x12345678
	jne bad
	mov ecx, 0xc0000080
	rdmsr
	test eax, 1 << 10		; LMA
	jz bad
	mov rsi, pass
	call print
	EXIT 0
bad:	mov rsi, fail
	call print
	EXIT 1

DEFINE_PRINT

pass:	db "PASS elf64", 13, 10, 0
fail:	db "FAIL elf64", 13, 10, 0
	align 16
file_end:
