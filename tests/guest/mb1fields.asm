; A multiboot 1 image without ELF: its header's address fields tell where it goes. It lies at 0x8000,
; where loaders like to put their own information.

	org 0x8000
	bits 32
%include "serial.inc"

header:	dd 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)
	dd header, header, file_end, bss_end, start

start:	mov esp, bss_end
	cmp eax, 0x2badb002
	jne bad
	; The information, the memory map and the command line are clear of us.
	mov esi, [ebx + 16]
	call clear
	mov esi, [ebx + 48]
	call clear
	mov esi, ebx
	call clear
	; The rest of the image arrived, and what follows it is zero.
	cmp dword [file_end - 4], 0x600dda7a
	jne bad
	mov edi, file_end
	mov ecx, bss_end - file_end - 64	; but for the stack
	xor eax, eax
	repe scasb
	jne bad
	mov esi, pass
	call print
	EXIT 0

clear:	cmp esi, header - 116
	jb .good
	cmp esi, bss_end
	jb bad
.good:	ret

bad:	mov esi, fail
	call print
	EXIT 1

DEFINE_PRINT

pass:	db "PASS mb1fields", 13, 10, 0
fail:	db "FAIL mb1fields", 13, 10, 0
	times 5000 db 0x5a
	dd 0x600dda7a
file_end:
	absolute $
	resb 4096
bss_end:
