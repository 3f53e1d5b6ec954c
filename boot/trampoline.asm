; The way of an application processor from SIPI to C. Copied to a page below 1 MiB; runs there in real
; mode at CS:IP = page:0. smp.c fills the parameters at the end of the copy.

PERCPU_STACK_TOP equ 8		; as in percpu.h
PERCPU_STATE	 equ 24
CPU_STARTING	 equ 1
CPU_STARTED	 equ 2
STAGE_AP_ENTRY	 equ 0xb8		; as in boot/stage.h
STAGE_AP_START64 equ 0xb9

section .rodata
global trampoline, trampoline_end, trampoline_params
bits 16
trampoline:
	cli
	cld
	mov ax, cs
	mov ds, ax
	mov al, STAGE_AP_ENTRY
	out 0x80, al
	mov [trampoline_params.alive - trampoline], al
	mov ax, cs
	movzx ebx, ax
	shl ebx, 4			; physical address of the page
	lea eax, [ebx + .wide - trampoline]
	mov [.wide_at - trampoline], eax
	lea eax, [ebx + gdt - trampoline]
	mov [gdt.base - trampoline], eax
	o32 lgdt [gdt.limit - trampoline]
	mov eax, 1 << 5			; PAE
	mov cr4, eax
	mov eax, [trampoline_params - trampoline]
	mov cr3, eax
	mov ecx, 0xc0000080		; EFER
	xor edx, edx
	mov eax, 1 << 8 | 1 << 11	; LME, NXE
	wrmsr
	mov eax, 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 ; PG, WP, NE, ET, PE
	mov cr0, eax
	jmp far dword [.wide_at - trampoline]
.wide_at:
	dd 0
	dw 8

bits 64
.wide:	mov eax, 16
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov al, STAGE_AP_START64
	out 0x80, al
	; Only who takes the slot goes on: a CPU that comes after its time was up finds another state.
	mov rdi, [rbx + trampoline_params.percpu - trampoline]
	mov eax, CPU_STARTING
	mov ecx, CPU_STARTED
	lock cmpxchg [rdi + PERCPU_STATE], ecx
	jne .stop
	mov rsp, [rdi + PERCPU_STACK_TOP]
	xor ebp, ebp
	mov rax, [rbx + trampoline_params.entry - trampoline]
	call rax
.stop:	hlt
	jmp .stop

	align 8
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
.limit:	dw 23
.base:	dd 0
	align 8
trampoline_params:
.cr3:	dq 0
.percpu: dq 0
.entry:	dq 0
.alive:	dq 0			; not 0: the first instructions ran
trampoline_end:
