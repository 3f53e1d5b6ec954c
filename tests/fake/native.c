#include "tests/fake/native.h"
#include <string.h>

/* The trampoline's state; named in the assembly below. */
extern struct native native_state;
extern uint64_t native_rsp, native_entry;
extern uint32_t native_what;
struct native native_state;
uint64_t native_rsp, native_entry;
uint32_t native_what;
static uint8_t *native_page;
void native_enter(void);
void native_leave(void);

_Static_assert(offsetof(struct native, rflags) == 128, "used below");
_Static_assert(offsetof(struct native, simd) == 136, "used below");
_Static_assert(offsetof(struct native, mmx) == 648, "used below");

void native_code(void *page)
{
	native_page = page;
}

uint64_t native_place(const void *insn, size_t len)
{
	static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp [rip] */
	uint64_t target = (uintptr_t)native_leave;

	memcpy(native_page, insn, len);
	memcpy(native_page + len, jump, sizeof(jump));
	memcpy(native_page + len + sizeof(jump), &target, sizeof(target));
	native_entry = (uintptr_t)native_page;
	return native_entry + len;
}

void native_run(struct native *n, unsigned what)
{
	native_state = *n;
	native_what = what;
	native_enter();
	*n = native_state;
}

/* clang-format off */
__asm__(
	".macro each_simd insn, reg, load\n"
	".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	".if \\load\n"
	"	\\insn native_state+136+\\i*32(%rip), %\\reg\\i\n"
	".else\n"
	"	\\insn %\\reg\\i, native_state+136+\\i*32(%rip)\n"
	".endif\n"
	".endr\n"
	".endm\n"
	".macro each_mmx load\n"
	".irp i, 0,1,2,3,4,5,6,7\n"
	".if \\load\n"
	"	movq native_state+648+\\i*8(%rip), %mm\\i\n"
	".else\n"
	"	movq %mm\\i, native_state+648+\\i*8(%rip)\n"
	".endif\n"
	".endr\n"
	".endm\n"
	".macro simd_all load\n"
	"	testb $2, native_what(%rip)\n"
	"	jz 1f\n"
	"	each_simd vmovdqu, ymm, \\load\n"
	".if !\\load\n"
	"	vzeroupper\n"
	".endif\n"
	"	jmp 2f\n"
	"1:	testb $1, native_what(%rip)\n"
	"	jz 2f\n"
	"	each_simd movdqu, xmm, \\load\n"
	"2:	testb $4, native_what(%rip)\n"
	"	jz 3f\n"
	"	each_mmx \\load\n"
	".if !\\load\n"
	"	emms\n"
	".endif\n"
	"3:\n"
	".endm\n"
	".macro gpr_all load\n"
	".set slot, 0\n"
	".irp r, rax,rcx,rdx,rbx,rsp,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15\n"
	".if \\load\n"
	"	mov native_state+slot(%rip), %\\r\n"
	".else\n"
	"	mov %\\r, native_state+slot(%rip)\n"
	".endif\n"
	".set slot, slot+8\n"
	".endr\n"
	".endm\n"

	"	.text\n"
	"	.globl native_enter, native_leave\n"
	"native_enter:\n"
	"	push %rbx\n"
	"	push %rbp\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	mov %rsp, native_rsp(%rip)\n"
	"	simd_all 1\n"
	"	pushq native_state+128(%rip)\n"
	"	popfq\n"
	"	gpr_all 1\n"
	"	jmp *native_entry(%rip)\n"
	"native_leave:\n"
	"	gpr_all 0\n"
	"	mov native_rsp(%rip), %rsp\n"
	"	pushfq\n"
	"	popq native_state+128(%rip)\n"
	"	cld\n"
	"	simd_all 0\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbp\n"
	"	pop %rbx\n"
	"	ret\n"
);
/* clang-format on */
