; Real mode, from a flat image: ports, CPUID, string I/O, the PIT through the PIC and the interrupt
; vector table, device memory through a big segment, and a V8086-free trip to protected mode and back.
; load = 0x7c00, entry = 0x7c00

	org 0x7c00
	bits 16
%include "serial.inc"

%macro CHECK 2				; condition code that is good, name
	j%1 %%good
	mov si, %%why
	call print
	EXIT 1
%%why:	db "FAIL real16: ", %2, 13, 10, 0
%%good:
%endmacro

start:	cli
	cld
	mov ax, cs
	cmp ax, 0x7c0
	je .flat			; entry's own paragraph, or segment 0
	jmp 0:.zero
.flat:	jmp 0:.zero
.zero:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	mov si, hello
	call print

	mov eax, 0x40000000
	cpuid
	cmp eax, 0x40000000
	CHECK ae, "hypervisor leaf"

	; Scratch register of the UART, by string instructions.
	mov dx, 0x3ff
	mov si, text
	mov cx, 5
	rep outsb
	test cx, cx
	CHECK z, "outsb count"
	cmp si, text + 5
	CHECK e, "outsb SI"
	mov di, buffer + 3
	std
	mov cx, 3
	rep insb
	cld
	cmp dword [buffer], 0x656565 << 8
	CHECK e, "insb"

	; IRQ 0 at vector 8, as a BIOS has it.
	mov word [8 * 4], tick
	mov word [8 * 4 + 2], 0
	mov al, 0x11
	out 0x20, al
	mov al, 8
	out 0x21, al
	mov al, 4
	out 0x21, al
	mov al, 1
	out 0x21, al
	mov al, 0xfe
	out 0x21, al
	mov al, 0x34
	out 0x43, al
	mov al, 0x9c
	out 0x40, al
	mov al, 0x2e
	out 0x40, al
	; The local APIC's LINT0 as virtual wire needs its page: big real mode.
	call big
	mov ebx, 0xfee00000
	mov dword [fs:ebx + 0xf0], 0x1ff
	mov dword [fs:ebx + 0x350], 0x700
	mov eax, [fs:ebx + 0x30]
	cmp al, 0x10
	CHECK ae, "APIC version"
	mov dword [fs:ebx + 0x320], 0x10000
	mov dword [fs:ebx + 0x380], 0x12345678
	a32 mov ax, [fs:ebx + 0x380]
	cmp ax, 0x5678
	CHECK e, "APIC timer count"
.wait:	sti
	hlt
	cli
	cmp byte [ticks], 5
	jb .wait

	; INT n through the table.
	mov word [0x77 * 4], software
	mov word [0x77 * 4 + 2], 0
	int 0x77
	cmp byte [soft], 1
	CHECK e, "int 0x77"

	mov si, pass
	call print
	EXIT 0

; FS becomes a segment of 4 GiB: its limit outlives the way back to real mode.
big:	lgdt [gdt_pointer]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp $ + 2
	mov ax, 8
	mov fs, ax
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:.real
.real:	xor ax, ax
	mov fs, ax
	ret

tick:	push ax
	inc byte [cs:ticks]
	mov al, 0x20
	out 0x20, al
	pop ax
	iret

software:
	inc byte [cs:soft]
	iret

DEFINE_PRINT

	align 8
gdt:	dq 0
	dq 0x00cf93000000ffff
gdt_pointer:
	dw 15
	dd gdt
hello:	db "real16: in real mode", 13, 10, 0
pass:	db "PASS real16", 13, 10, 0
text:	db "abcde"
buffer:	dd 0
ticks:	db 0
soft:	db 0
