; From the firmware's 64-bit mode to the machine state of multiboot2: 32-bit protected mode without
; paging (Multiboot2 Specification 2.0, "Machine state").
;
; main.c copies this code to a page below 4 GiB that the firmware lets execute, and calls the copy:
;	void enter(uint32_t entry, uint32_t information, uint32_t page)
; The rest of the page is GDT and stack. Nothing here is reached again.

%define MAGIC 0x36d76289
%define PAGE  4096

section .rodata
global enter_code, enter_code_end
default rel
bits 64
enter_code:
	cli
	cld
	mov ebx, esi			; information block
	mov esp, edx
	add esp, PAGE
	lea rax, [gdt]
	mov [gdt.base], rax
	lgdt [gdt.limit]
	; Paging cannot be left with PCIDE set, nor CR0.WP cleared with CET.
	mov rax, cr4
	and rax, ~(1 << 17 | 1 << 23)
	mov cr4, rax
	push 8
	lea rax, [code32]
	push rax
	retfq
bits 32
code32:
	mov eax, 16
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ss, eax
	mov eax, 1 | 1 << 4		; PE, ET
	mov cr0, eax
	mov ecx, 0xc0000080		; EFER
	rdmsr
	and eax, ~(1 << 8)		; LME
	wrmsr
	xor eax, eax
	mov cr4, eax			; LA57 too
	mov eax, MAGIC
	jmp edi

	align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
.limit:	dw 23
.base:	dq 0
enter_code_end:
