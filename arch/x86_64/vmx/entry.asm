; VM entry and exit: general registers, the last check for requests, and nothing else.
;
; enum vmx_entry vmx_enter(struct vcpu_regs *regs, const _Atomic uint32_t *request, bool launched,
;                          uint64_t *host_rsp)
; Interrupts are off. An NMI between vmx_enter_start and vmx_enter_end goes on at vmx_enter_abort
; (nmi_set_restart), so a request that it brings is not left lying until the next exit.

section .text
bits 64

HOST_RSP	equ 0x6c14	; VMCS field

VMX_EXITED	equ 0
VMX_FAILED	equ 1
VMX_ABORTED	equ 2

%define GPR(n)	[rdi + 8 * n]	; struct vcpu_regs.gpr, in the order of ModRM

global vmx_enter
vmx_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	push rdi
	cmp rsp, [rcx]		; nearly always as at the entry before
	je vmx_enter_start
	mov [rcx], rsp
	mov eax, HOST_RSP
	vmwrite rax, rsp

global vmx_enter_start
vmx_enter_start:
	cmp dword [rsi], 0
	jne vmx_enter_abort
	test dl, dl		; the moves below leave ZF alone
	mov rax, GPR(0)
	mov rcx, GPR(1)
	mov rdx, GPR(2)
	mov rbx, GPR(3)
	mov rbp, GPR(5)
	mov rsi, GPR(6)
	mov r8, GPR(8)
	mov r9, GPR(9)
	mov r10, GPR(10)
	mov r11, GPR(11)
	mov r12, GPR(12)
	mov r13, GPR(13)
	mov r14, GPR(14)
	mov r15, GPR(15)
	mov rdi, GPR(7)
	jz .launch
	vmresume
	jmp vmx_enter_end
.launch:
	vmlaunch
global vmx_enter_end
vmx_enter_end:
				; the guest's registers are lost here, but memory has them
	mov eax, VMX_FAILED
	jmp leave_guest

global vmx_enter_abort
vmx_enter_abort:
	mov eax, VMX_ABORTED
	jmp leave_guest

	align 16
global vmx_exit
vmx_exit:			; RSP is host_rsp: regs lies on top
	push rdi
	mov rdi, [rsp + 8]
	mov GPR(0), rax
	mov GPR(1), rcx
	mov GPR(2), rdx
	mov GPR(3), rbx
	mov GPR(5), rbp
	mov GPR(6), rsi
	mov GPR(8), r8
	mov GPR(9), r9
	mov GPR(10), r10
	mov GPR(11), r11
	mov GPR(12), r12
	mov GPR(13), r13
	mov GPR(14), r14
	mov GPR(15), r15
	pop qword GPR(7)
	; No value of the guest's stays where speculation could use it.
	xor eax, eax		; VMX_EXITED
	xor ecx, ecx
	xor edx, edx
	xor esi, esi
	xor r8d, r8d
	xor r9d, r9d
	xor r10d, r10d
	xor r11d, r11d
leave_guest:
	pop rdi
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret
