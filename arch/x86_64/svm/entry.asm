; World switch: general registers, the state of VMLOAD and VMSAVE, the last check for requests.
;
; bool svm_enter(struct vcpu_regs *regs, const _Atomic uint32_t *request, hpa_t vmcb, hpa_t host,
;                bool interruptible)
; Interrupts are off. GIF is 0 from the check to the entry, so no kick can fall between the two; VMRUN
; sets it, and what was held back then makes the guest exit at once. After the exit STGI lets
; interrupts and NMIs in through the IDT. RAX and RSP of the guest are in the VMCB.

section .text
bits 64

%define GPR(n)	[rdi + 8 * n]	; struct vcpu_regs.gpr, in the order of ModRM

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
	vmload			; all three take the address in RAX, which is
	vmrun			; the host's again after the exit
	vmsave
	push rdi
	mov rdi, [rsp + 8]
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
	pop rdi
	pop rax			; the host's area
	vmload
	; No value of the guest's stays where speculation could use it.
	xor ecx, ecx
	xor edx, edx
	xor esi, esi
	xor r8d, r8d
	xor r9d, r9d
	xor r10d, r10d
	xor r11d, r11d
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
