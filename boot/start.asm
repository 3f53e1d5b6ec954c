; The loader's entry: multiboot2 header, 32-bit protected mode without paging -> long mode in the
; higher half -> boot_main. Called by GRUB only (Multiboot2 Specification 2.0, "Machine state").
;
; The loader may have moved the image, so 32-bit code adds ebp, the distance it was moved by, to every
; address. The page tables made here map the low 4 GiB one to one and the image; paging_init replaces
; them with tables that know permissions.

%define MAGIC     0xe85250d6
%define ARCH_I386 0
%define PAGE      4096
%define COM1      0x3f8
%define LARGE     0x83		; present, writable, 2 MiB page
%define TABLE     0x03		; present, writable

; Tells where we are: a code on port 0x80 (docs/faults.md) and one character on COM1, as it is, waiting
; for a bounded time. Destroys eax, ecx, edx; needs no stack.
%macro STAGE 2
	mov al, %1
	out 0x80, al
	mov dx, COM1 + 5
	mov ecx, 100000
%%wait:	in al, dx
	test al, 0x20			; also when nothing answers: all ones
	loopz %%wait
	mov dx, COM1
	mov al, %2
	out dx, al
%endmacro
STAGE_ENTRY	equ 0xa0		; as in stage.h
STAGE_LONG_MODE equ 0xa1
STAGE_TABLES	equ 0xa2
STAGE_PAGING	equ 0xa3
STAGE_START64	equ 0xa4

section .multiboot2 progbits alloc noexec nowrite align=8
header:
	dd MAGIC, ARCH_I386, header_end - header, -(MAGIC + ARCH_I386 + (header_end - header)) & 0xffffffff
	align 8
	dw 6, 0			; modules page-aligned
	dd 8
	align 8
	dw 10, 0		; relocatable
	dd 24, 0x100000, 0x7fffffff, 0x200000, 1 ; lowest address that fits
	align 8
	dw 5, 1			; framebuffer, optional, of any size and depth
	dd 20, 0, 0, 0
	align 8
	dw 0, 0
	dd 8
header_end:

extern start32_phys, boot_gdt_phys, boot_tables_phys, boot_tsc_phys, boot_main

section .boot progbits alloc exec nowrite align=16
bits 32
global start32
start32:
	cli
	cld
	mov esi, eax			; loader's magic; ebx: information block
	rdtsc				; boot_tsc; until we know where we are, debug registers hold it
	mov dr0, eax
	mov dr1, edx
	; COM1 at 115200 8N1, when what the firmware has to say is out.
	mov dx, COM1 + 5
	mov ecx, 100000
.drain:	in al, dx
	test al, 0x40
	loopz .drain
	mov dx, COM1 + 3
	mov al, 0x83
	out dx, al
	mov dx, COM1
	mov al, 1
	out dx, al
	inc edx
	xor eax, eax
	out dx, al
	mov dx, COM1 + 3
	mov al, 3
	out dx, al
	STAGE STAGE_ENTRY, 'M'
	; Where are we? Four bytes of the block's reserved field serve as the stack of one call.
	mov edi, [ebx + 4]
	lea esp, [ebx + 8]
	call .here
.here:	pop ebp
	mov [ebx + 4], edi
	sub ebp, start32_phys
	sub ebp, .here - start32
	lea esp, [ebp + boot_tables_phys + TABLES * PAGE]
	mov eax, dr0
	mov [ebp + boot_tsc_phys], eax
	mov eax, dr1
	mov [ebp + boot_tsc_phys + 4], eax
	xor eax, eax
	mov dr0, eax
	mov dr1, eax

	mov eax, no_alignment - start32
	test ebp, 0x1fffff
	jnz refuse32
	mov eax, 0x80000000
	push ebx
	cpuid
	mov edi, eax
	pop ebx
	mov eax, no_long_mode - start32
	cmp edi, 0x80000001
	jb refuse32
	mov eax, 0x80000001
	push ebx
	cpuid
	pop ebx
	mov eax, no_long_mode - start32
	bt edx, 29
	jnc refuse32
	; NXE where there is NX; boot_main tells when there is none.
	mov edi, 1 << 8			; LME
	bt edx, 20
	jnc .no_nx
	or edi, 1 << 11			; NXE
.no_nx:	push edi
	STAGE STAGE_LONG_MODE, '1'

	call make_tables
	STAGE STAGE_TABLES, '2'
	mov eax, cr4
	and eax, ~(1 << 12)		; LA57: GRUB leaves it as firmware had it
	or eax, 1 << 5			; PAE
	mov cr4, eax
	lea eax, [ebp + boot_tables_phys]
	mov cr3, eax
	mov ecx, 0xc0000080		; EFER
	rdmsr
	pop edi
	or eax, edi
	wrmsr
	mov eax, cr0
	or eax, 1 << 31 | 1 << 16	; PG, WP
	mov cr0, eax
	STAGE STAGE_PAGING, '3'

	lea eax, [ebp + boot_gdt_phys]
	mov [ebp + boot_gdt_phys + boot_gdt.base - boot_gdt], eax
	lgdt [ebp + boot_gdt_phys + boot_gdt.limit - boot_gdt]
	lea eax, [ebp + start32_phys + start64 - start32]
	push 8
	push eax
	retf

; Tables: 0 PML4, 1 PDPT of the low half, 2 PDPT of the high half, 3-6 low 4 GiB, 7 the image's GiB;
; 8 is the stack of this file.
TABLES equ 9
make_tables:
	lea edi, [ebp + boot_tables_phys]
	lea eax, [edi + 1 * PAGE + TABLE]
	mov [edi], eax
	lea eax, [edi + 2 * PAGE + TABLE]
	mov [edi + 511 * 8], eax
	lea eax, [edi + 7 * PAGE + TABLE]
	mov [edi + 2 * PAGE + 510 * 8], eax
	lea eax, [edi + 3 * PAGE + TABLE]
	xor ecx, ecx
.pdpt:	mov [edi + PAGE + ecx * 8], eax
	add eax, PAGE
	inc ecx
	cmp ecx, 4
	jb .pdpt
	mov eax, LARGE
	xor ecx, ecx
.low:	mov [edi + 3 * PAGE + ecx * 8], eax
	add eax, 0x200000
	inc ecx
	cmp ecx, 4 * 512
	jb .low
	lea eax, [ebp + LARGE]
	xor ecx, ecx
.high:	mov [edi + 7 * PAGE + ecx * 8], eax
	add eax, 0x200000
	inc ecx
	cmp ecx, 512
	jb .high
	ret

; eax: offset of the message, for COM1 and for the screen where it is in text mode.
refuse32:
	lea esi, [ebp + start32_phys]
	add esi, eax
	mov edi, 0xb8000
.next:	lodsb
	test al, al
	jz .stop
	mov ah, 0x4f			; white on red
	cmp al, ' '
	jb .serial
	stosw
.serial:
	mov ah, al
	mov ecx, 100000
	mov dx, COM1 + 5
.wait:	in al, dx
	test al, 0x20
	loopz .wait
	mov dx, COM1
	mov al, ah
	out dx, al
	jmp .next
.stop:	hlt
	jmp .stop

no_alignment:
	db 13, 10, "mullion: stopped: the loader put the image at an address that is no multiple of 2 MiB", 13, 10, 0
no_long_mode:
	db 13, 10, "mullion: stopped: this CPU has no 64-bit mode (CPUID 80000001h EDX bit 29)", 13, 10, 0

bits 64
start64:
	mov rax, start64_high
	jmp rax
start64_high:
	mov eax, 16
	mov ds, eax
	mov es, eax
	mov ss, eax
	xor eax, eax
	mov fs, eax
	mov gs, eax
	mov rsp, boot_stack_top
	STAGE STAGE_START64, '4'
	mov edx, ebp			; the image's distance from its linked address
	mov edi, esi			; magic
	mov esi, ebx			; information block
	xor ebp, ebp
	call boot_main
.stop:	hlt
	jmp .stop

section .data.boot progbits alloc noexec write align=8
global boot_gdt
	align 8
boot_gdt:
	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
.limit:	dw 23
.base:	dq 0
global boot_tsc
	align 8
boot_tsc:				; the TSC when the loader handed over
	dq 0

section .bss.pages nobits alloc noexec write align=4096
global boot_tables, boot_stack_guard, boot_stack_top
boot_tables:
	resb TABLES * PAGE
boot_stack_guard:			; paging_init leaves this page out
	resb PAGE
	resb 6 * PAGE
boot_stack_top:
