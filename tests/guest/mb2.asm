; A multiboot 2 image without ELF (address and entry tags). Looks for the tags that it asks for and for
; those that every guest gets: command line, memory map, ACPI.

	org 0x200000
	bits 32
%include "serial.inc"

header:	dd 0xe85250d6, 0, header_end - header, -(0xe85250d6 + header_end - header)
	dw 2, 0				; addresses
	dd 24
	dd header, header, file_end, bss_end
	dw 3, 0				; entry
	dd 12, start
	align 8
	dw 1, 0				; information request: basic memory, memory map
	dd 16, 4, 6
	dw 0, 0
	dd 8
header_end:

start:	mov esp, bss_end
	cmp eax, 0x36d76289
	jne bad
	add ebx, 8
.tag:	mov ecx, [ebx]
	cmp ecx, 31
	ja .next
	bts [seen], ecx
	cmp ecx, 1
	jne .next
	lea esi, [ebx + 8]
	call print
	mov esi, line
	call print
.next:	cmp dword [ebx], 0
	je .end
	mov ecx, [ebx + 4]
	add ecx, 7
	and ecx, ~7
	add ebx, ecx
	jmp .tag
.end:	mov eax, [seen]
	and eax, 1 << 1 | 1 << 4 | 1 << 6
	cmp eax, 1 << 1 | 1 << 4 | 1 << 6
	jne bad
	test dword [seen], 1 << 14 | 1 << 15
	jz bad
	mov esi, pass
	call print
	EXIT 0

bad:	mov esi, fail
	call print
	EXIT 1

DEFINE_PRINT

seen:	dd 0
line:	db 13, 10, 0
pass:	db "PASS mb2", 13, 10, 0
fail:	db "FAIL mb2", 13, 10, 0
file_end:
	absolute $
	resb 4096
bss_end:
