; World switch: general registers, the state of VMLOAD and VMSAVE, the last check for requests.
;
; void svm_enter(struct vcpu *v, struct svm *x, struct vm_exit *exit)
; Goes on in svm_exited, or in svm_not_entered when there was a request and nothing ran, with the
; same arguments; they return to svm_enter's caller.
; Interrupts are off. GIF is 0 from the check to the entry, so no kick can fall between the two; VMRUN
; sets it, and what was held back then makes the guest exit at once. After the exit STGI lets
; interrupts and NMIs in through the IDT. RAX and RSP of the guest are in the VMCB.

section .text
bits 64

%include "arch/x86_64/gpr.inc"

SVM_VMCB	equ 0x08	; struct svm: asserted in run.c
SVM_HOST	equ 0x10
SVM_STEP	equ 0x18

extern svm_exited
extern svm_not_entered

global svm_enter
svm_enter:
	push_caller
	clgi
	cmp dword [rdi + VCPU_REQUEST], 0
	jne .abort
	push rdx
	push rsi
	push rdi
	cmp dword [rsi + SVM_STEP], 0
	jne .masked
	sti			; the host's IF lets physical interrupts through, while GIF is 1
.masked:
	mov rax, [rsi + SVM_VMCB]
	load_guest_gprs
	vmload			; all three take the address in RAX, which is
	vmrun			; the host's again after the exit
	vmsave
	push rdi
	mov rdi, [rsp + 8]
	save_guest_gprs
	pop rdi
	pop rsi
	pop rdx
	mov rax, [rsi + SVM_HOST]
	vmload
	clear_guest_gprs
	pop_caller
	stgi			; pending interrupts come in here
	cli
	jmp svm_exited
.abort:
	pop_caller
	stgi
	cli
	jmp svm_not_entered
