; A multiboot 1 image that reads the TSC in its first instruction and prints it: "first " and 16 hex
; digits. For the bench; Mullion gives guests the machine's own TSC.

	org 0x100000
	bits 32
%include "serial.inc"

header:	dd 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)
	dd header, header, file_end, bss_end, start

start:	rdtsc
	mov esp, bss_end
	mov edi, text
	xchg eax, edx
	call hex
	mov eax, edx
	call hex
	mov esi, first
	call print
	EXIT 0

; eax as eight digits at edi
hex:	mov ecx, 8
.next:	rol eax, 4
	mov bl, al
	and bl, 15
	add bl, '0'
	cmp bl, '9'
	jbe .digit
	add bl, 'a' - '0' - 10
.digit:	mov [edi], bl
	inc edi
	loop .next
	ret

DEFINE_PRINT

first:	db "first "
text:	times 16 db 0
	db 13, 10, 0
file_end:
	absolute $
	resb 4096
bss_end:
