; World switch: general registers, the state of VMLOAD and VMSAVE, the last check for requests.
;
; bool svm_enter(struct vcpu_regs *regs, const _Atomic uint32_t *request, hpa_t vmcb, hpa_t host,
;                bool interruptible)
; Interrupts are off. GIF is 0 from the check to the entry, so no kick can fall between the two; VMRUN
; sets it, and what was held back then makes the guest exit at once. After the exit STGI lets
; interrupts and NMIs in through the IDT. RAX and RSP of the guest are in the VMCB.

section .text
bits 64

%include "arch/x86_64/gpr.inc"

global svm_enter
svm_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	clgi
	cmp dword [rsi], 0
	jne .abort
	push rcx
	push rdi
	test r8b, r8b
	jz .masked
	sti			; the host's IF lets physical interrupts through, while GIF is 1
.masked:
	mov rax, rdx
	load_guest_gprs
	vmload			; all three take the address in RAX, which is
	vmrun			; the host's again after the exit
	vmsave
	push rdi
	mov rdi, [rsp + 8]
	save_guest_gprs
	pop rdi
	pop rax			; the host's area
	vmload
	clear_guest_gprs
	mov eax, 1
	jmp .out
.abort:
	xor eax, eax
.out:
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	stgi			; pending interrupts come in here
	cli
	ret
