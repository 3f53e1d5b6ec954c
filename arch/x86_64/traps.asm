; One stub per vector, one common path: saves what C may change, calls trap_dispatch(frame), returns.
; The frame is struct trap_frame of trap.h. GS base is the CPU's percpu at all times in the host, so
; there is no swapgs.

section .text
extern trap_dispatch
bits 64

%macro STUB 1
	align 16
%if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30
	; the CPU has pushed an error code
%else
	push 0
%endif
	push qword %1
	jmp trap_common
%endmacro

	align 16
global trap_stubs
trap_stubs:				; 16 bytes each
%assign vector 0
%rep 256
	STUB vector
%assign vector vector + 1
%endrep

	align 16
trap_common:
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
	cld
	mov rdi, rsp
	call trap_dispatch
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
