; VM entry and exit: general registers, the last check for requests, and nothing else.
;
; void vmx_enter(struct vcpu *v, struct vmx *x, struct vm_exit *exit)
; Goes on in vmx_exited(v, x, exit), or in vmx_not_entered(v, x, exit, why) when nothing ran; they
; return to vmx_enter's caller.
; Interrupts are off. An NMI between vmx_enter_start and vmx_enter_end goes on at vmx_enter_abort
; (nmi_set_restart), so a request that it brings is not left lying until the next exit.

section .text
bits 64

HOST_RSP	equ 0x6c14	; VMCS field

VMX_FAILED	equ 1
VMX_ABORTED	equ 2

VMX_HOST_RSP	equ 0x00	; struct vmx: asserted in run.c
VMX_LAUNCHED	equ 0x08

%include "arch/x86_64/gpr.inc"

extern vmx_exited
extern vmx_not_entered

%macro pop_all 0
	pop rdi
	pop rsi
	pop rdx
	pop_caller
%endmacro

global vmx_enter
vmx_enter:
	push_caller
	push rdx
	push rsi
	push rdi
	cmp rsp, [rsi + VMX_HOST_RSP] ; nearly always as at the entry before
	je vmx_enter_start
	mov [rsi + VMX_HOST_RSP], rsp
	mov eax, HOST_RSP
	vmwrite rax, rsp

global vmx_enter_start
vmx_enter_start:
	cmp dword [rdi + VCPU_REQUEST], 0
	jne vmx_enter_abort
	cmp byte [rsi + VMX_LAUNCHED], 0 ; the moves below leave ZF alone
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
	mov ecx, VMX_FAILED
	jmp not_entered

global vmx_enter_abort
vmx_enter_abort:
	mov ecx, VMX_ABORTED
not_entered:
	pop_all
	jmp vmx_not_entered

	align 16
global vmx_exit
vmx_exit:			; RSP is host_rsp: the arguments lie on top
	push rdi
	mov rdi, [rsp + 8]
	mov GPR(0), rax
	save_guest_gprs
	clear_guest_gprs
	pop_all
	jmp vmx_exited
