; The first instructions of a guest: multiboot 1 header, stack, long mode when MODE is 64, interrupt
; stubs, and the trampoline of other CPUs. Jumps to guest_start in guest.c.

%ifndef MODE
%define MODE 64
%endif
CODE32 equ 0x08
DATA   equ 0x10
CODE64 equ 0x18

section .multiboot
	align 4
	dd 0x1badb002, 3, -(0x1badb002 + 3)

section .bss
	align 4096
pml4:	resb 4096
pdpt:	resb 4096
pd:	resb 4 * 4096
	resb 16384
stack:
ap_stacks: resb 16 * 8192

section .data
	align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff		; CODE32
	dq 0x00cf93000000ffff		; DATA
	dq 0x00af9b000000ffff		; CODE64
	dq 0x00009b000000ffff		; 0x20: 16-bit code
	dq 0x000093000000ffff		; 0x28: 16-bit data
gdt_end:
global gdt_pointer
gdt_pointer:
	dw gdt_end - gdt - 1
	dd gdt
	dd 0
global boot_magic, boot_info, ap_count
boot_magic: dd 0
boot_info:  dd 0
ap_count:   dd 0

section .text
bits 32
global _start
extern guest_start
_start:
	cli
	cld
	mov esp, stack
	mov [boot_magic], eax
	mov [boot_info], ebx
	lgdt [gdt_pointer]
	jmp CODE32:.reloaded
.reloaded:
	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov eax, cr0
	and eax, ~((1 << 2) | (1 << 3))	; EM, TS
	or eax, 2			; MP
	mov cr0, eax
	mov eax, cr4
	or eax, 0x600			; OSFXSR, OSXMMEXCPT
	mov cr4, eax
%if MODE == 32
	call guest_start
	ud2
%else
	; One to one for 4 GiB, in 2 MiB pages.
	mov eax, pdpt + 3
	mov [pml4], eax
	mov eax, pd + 3
	mov edi, pdpt
	mov ecx, 4
.pdpt:	mov [edi], eax
	add eax, 4096
	add edi, 8
	loop .pdpt
	mov eax, 0x83
	mov edi, pd
	mov ecx, 2048
.pd:	mov [edi], eax
	add eax, 0x200000
	add edi, 8
	loop .pd
	call enter_long
bits 64
	call guest_start
	ud2

bits 32
; Turns on long mode and returns to the caller in 64-bit mode; the stack holds a 32-bit address.
enter_long:
	mov eax, cr4
	or eax, 1 << 5			; PAE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, 0xc0000080		; EFER
	rdmsr
	or eax, 1 << 8			; LME
	wrmsr
	mov eax, cr0
	or eax, (1 << 31) | (1 << 16)	; PG, WP
	mov cr0, eax
	jmp CODE64:.long
bits 64
.long:
	mov esp, esp			; the upper half is undefined so far
	pop rax				; two 32-bit words: the address and one below
	sub rsp, 4
	mov eax, eax
	and rsp, ~15
	jmp rax

; --- other CPUs: copied to the page of the SIPI vector ------------------------------------------
global ap_trampoline, ap_trampoline_end
extern ap_start
bits 16
ap_trampoline:
	cli
	mov ax, cs
	mov ds, ax
	o32 lgdt [ap_gdt_pointer - ap_trampoline]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE32:ap_protected
ap_gdt_pointer:
	dw gdt_end - gdt - 1
	dd gdt
ap_trampoline_end:

bits 32
ap_protected:
	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov eax, cr4
	or eax, 0x600
	mov cr4, eax
	mov ebx, 1
	lock xadd [ap_count], ebx	; this CPU's index, counted in order of arrival
	mov esp, ebx
	shl esp, 13
	add esp, ap_stacks + 8192
	call enter_long
bits 64
	mov edi, ebx
	call ap_start
	ud2
%endif

; --- interrupt stubs ------------------------------------------------------------------------------
extern guest_interrupt
%if MODE == 64
bits 64
%macro PUSH_ALL 0
	push rax
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
%endmacro
interrupt_common:
	PUSH_ALL
	mov rdi, rsp
	mov rbx, rsp
	and rsp, ~15
	cld
	call guest_interrupt
	mov rsp, rbx
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rdi
	pop rsi
	pop rbp
	pop rbx
	pop rdx
	pop rcx
	pop rax
	add rsp, 16
	iretq
%else
bits 32
interrupt_common:
	push eax
	push ecx
	push edx
	push ebx
	push ebp
	push esi
	push edi
	mov ebx, esp
	mov eax, esp
	and esp, ~15
	sub esp, 12
	push eax
	cld
	call guest_interrupt
	mov esp, ebx
	pop edi
	pop esi
	pop ebp
	pop ebx
	pop edx
	pop ecx
	pop eax
	add esp, 8
	iretd
%endif

global interrupt_stubs
	align 16
interrupt_stubs:			; 16 bytes each
%assign vector 0
%rep 256
	align 16
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push byte 0			; no error code
%endif
	push strict dword vector
	jmp near interrupt_common
%assign vector vector + 1
%endrep
section .note.GNU-stack noalloc noexec nowrite progbits
