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

%include "arch/x86_64/gpr.inc"

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
	load_guest_gprs
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
	save_guest_gprs
	clear_guest_gprs	; EAX: VMX_EXITED
leave_guest:
	pop rdi
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret
