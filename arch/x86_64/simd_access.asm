; Single vector registers by number: void f(void *memory, unsigned reg). Tables of 16-byte stubs.

section .text
bits 64

%macro ACCESS 2+			; name, instruction with XMM or YMM for the register
	align 16
global %1
%1:	lea rax, [rel .table]
	shl esi, 4
	add rax, rsi
	jmp rax
	align 16
.table:
%assign n 0
%rep 16
%xdefine XMM xmm%[n]
%xdefine YMM ymm%[n]
	align 16
	%2
	ret
%assign n n + 1
%endrep
%undef XMM				; or the next use's instruction would name the last register
%undef YMM
%endmacro

	ACCESS simd_xmm_store, movups [rdi], XMM
	ACCESS simd_xmm_load, movups XMM, [rdi]
	ACCESS simd_xmm_load_clear, vmovups XMM, [rdi]
	ACCESS simd_ymm_store, vmovups [rdi], YMM
	ACCESS simd_ymm_load, vmovups YMM, [rdi]
