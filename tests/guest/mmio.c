/*
 * Every instruction class that drivers use on device memory, against three kinds of it: the APIC
 * timer's initial count (a full 32-bit register), memory that nobody answers for (reads ones), and
 * the host bridge's configuration space (bytes and words). Flags are compared exactly.
 */
#include "guest.h"

GUEST("mmio");

enum { NOBODY = 0xd0000000, ECAM = 0xe0000000 };
enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048, FLAGS = CF | PF | AF | ZF | SF | OF };

#define REG (*(volatile uint32_t *)(LAPIC + LAPIC_INITIAL))
#define NONE8 (*(volatile uint8_t *)NOBODY)
#define NONE16 (*(volatile uint16_t *)NOBODY)
#define NONE32 (*(volatile uint32_t *)NOBODY)
#define NONE64 (*(volatile uint64_t *)NOBODY)

static uint32_t ram __attribute__((aligned(32)));

/*
 * The same instruction on RAM (by the CPU) and on the register (by the hypervisor), from the same
 * operands and flags: memory, EAX, ECX and flags must come out alike.
 */
#define SAME(text, memory, eax, ecx)                                                               \
	do {                                                                                       \
		uint64_t a1 = (eax), c1 = (ecx), f1, a2 = (eax), c2 = (ecx), f2;                   \
		ram = (memory);                                                                    \
		REG = (memory);                                                                    \
		__asm__ volatile("stc; " text "; pushfq; popq %2"                                  \
				 : "+a"(a1), "+c"(c1), "=&r"(f1) : "b"(&ram) : "memory", "cc");     \
		__asm__ volatile("stc; " text "; pushfq; popq %2"                                  \
				 : "+a"(a2), "+c"(c2), "=&r"(f2) : "b"(&REG) : "memory", "cc");     \
		if (a1 != a2 || c1 != c2 || (f1 & FLAGS) != (f2 & FLAGS) || REG != ram) {          \
			guest_fail("%s on %x, %lx, %lx: memory %x %x, rax %lx %lx, rcx %lx %lx, "  \
				   "flags %lx %lx", text, (unsigned)(memory), (unsigned long)(eax), \
				   (unsigned long)(ecx), REG, ram, (unsigned long)a2,              \
				   (unsigned long)a1, (unsigned long)c2, (unsigned long)c1,        \
				   (unsigned long)(f2 & FLAGS), (unsigned long)(f1 & FLAGS));      \
		}                                                                                  \
	} while (0)

static const uint32_t values[] = {0, 1, 0x7f, 0x80, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678};
enum { VALUES = sizeof(values) / sizeof(values[0]) };

static void check_arithmetic(void)
{
	for (unsigned i = 0; i < VALUES; i++) {
		for (unsigned j = 0; j < VALUES; j += 2) {
			uint32_t m = values[i], r = values[(i + j + 3) % VALUES];

			SAME("addl %%eax, (%%rbx)", m, r, 0);
			SAME("adcl (%%rbx), %%eax", m, r, 0);
			SAME("sbbl %%eax, (%%rbx)", m, r, 0);
			SAME("subl (%%rbx), %%ecx", m, 0, r);
			SAME("cmpl %%eax, (%%rbx)", m, r, 0);
			SAME("xchgl %%eax, (%%rbx)", m, r, 0);
			SAME("lock xaddl %%eax, (%%rbx)", m, r, 0);
			SAME("lock cmpxchgl %%ecx, (%%rbx)", m, r, 7);
			SAME("lock cmpxchgl %%ecx, (%%rbx)", m, m, 7);
		}
	}
}

/* AF is undefined after these, so the flags are narrowed by an instruction that defines them all. */
static void check_logic(void)
{
	for (unsigned i = 0; i < VALUES; i++) {
		uint32_t m = values[i], r = values[(i + 5) % VALUES];

		SAME("lock andl %%eax, (%%rbx); sete %%cl", m, r, 0);
		SAME("orl $0x40, (%%rbx); sets %%cl", m, 0, 0);
		SAME("xorl (%%rbx), %%eax; setp %%cl", m, r, 0);
		SAME("testl $0x80000000, (%%rbx); setne %%cl", m, 0, 0);
		SAME("incl (%%rbx)", m, 0, 0);
		SAME("decl (%%rbx)", m, 0, 0);
		SAME("negl (%%rbx)", m, 0, 0);
		SAME("notl (%%rbx)", m, 0, 0);
		SAME("btl %%ecx, (%%rbx); setc %%al", m, 0, i);
		SAME("lock btsl $9, (%%rbx); setc %%al", m, 0, 0);
		SAME("btrl %%ecx, (%%rbx); setc %%al", m, 0, 31);
		SAME("btcl $0, (%%rbx); setc %%al", m, 0, 0);
	}
}

static void check_moves(void)
{
	uint64_t rax, rsp_before, rsp_after;

	SAME("movl $0x11223344, (%%rbx)", 0, 0, 0);
	SAME("movl %%ecx, (%%rbx)", 0, 0, 0x99aabbcc);
	SAME("movl (%%rbx), %%eax", 0xf0f0f0f0, 0xffffffffffffffff, 0);
	SAME("movslq (%%rbx), %%rax", 0xf0f0f0f0, 0, 0);
	SAME("movntil %%ecx, (%%rbx)", 0, 0, 0x31415926);
	if (cpuid(1, 0).c >> 22 & 1) {
		SAME("movbel (%%rbx), %%eax", 0x11223344, 0, 0);
		SAME("movbel %%ecx, (%%rbx)", 0, 0, 0x55667788);
	}
	/* moffs: RAX and a 64-bit address in the instruction. */
	REG = 0x24681357;
	__asm__ volatile("movabsl 0xfee00380, %%eax" : "=a"(rax));
	CHECK_EQ(rax, 0x24681357);
	__asm__ volatile("movabsl %%eax, 0xfee00380" : : "a"(0x1f2f3f4f));
	CHECK_EQ(REG, 0x1f2f3f4f);

	__asm__ volatile("movzbl %1, %k0" : "=r"(rax) : "m"(NONE8));
	CHECK_EQ(rax, 0xff);
	__asm__ volatile("movsbq %1, %0" : "=r"(rax) : "m"(NONE8));
	CHECK_EQ(rax, ~0ul);
	__asm__ volatile("movzwl %1, %k0" : "=r"(rax) : "m"(NONE16));
	CHECK_EQ(rax, 0xffff);
	__asm__ volatile("movq %1, %0" : "=r"(rax) : "m"(NONE64));
	CHECK_EQ(rax, ~0ul);
	__asm__ volatile("movq $0, %%rax; movb %1, %%ah; movq %%rax, %0" : "=r"(rax) : "m"(NONE8) : "rax");
	CHECK_EQ(rax, 0xff00);
	NONE8 = 1;
	NONE16 = 2;
	NONE32 = 3;
	NONE64 = 4;

	__asm__ volatile("movq %%rsp, %1; pushq %3; popq %0; movq %%rsp, %2"
			 : "=&r"(rax), "=&r"(rsp_before), "=&r"(rsp_after) : "m"(NONE64));
	CHECK_EQ(rax, ~0ul);
	CHECK_EQ(rsp_before, rsp_after);
	__asm__ volatile("movq %%rsp, %0; pushq $77; popq %2; movq %%rsp, %1"
			 : "=&r"(rsp_before), "=&r"(rsp_after), "=m"(NONE64));
	CHECK_EQ(rsp_before, rsp_after);
	CHECK_EQ(TRY("call *%0", "m"(NONE64)), EXC_PF); /* to all ones, where no page is */
	CHECK_EQ(caught.cr2, ~0ul);
}

static void check_strings(void)
{
	uint32_t *to = (uint32_t *)(LAPIC + LAPIC_INITIAL);
	uint8_t buffer[32], *p;
	uint32_t *from;
	uint64_t count = 1, found;

	__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0x0badcafe) : "memory");
	CHECK_EQ(REG, 0x0badcafe);
	CHECK_EQ(to, LAPIC + LAPIC_INITIAL + 4);
	from = (uint32_t *)(LAPIC + LAPIC_INITIAL);
	__asm__ volatile("lodsl" : "+S"(from), "=a"(found));
	CHECK_EQ(found, 0x0badcafe);
	ram = 0x600df00d;
	from = &ram;
	to = (uint32_t *)(LAPIC + LAPIC_INITIAL);
	__asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
	CHECK_EQ(REG, 0x600df00d);
	from = (uint32_t *)(LAPIC + LAPIC_INITIAL);
	to = &ram;
	ram = 0;
	__asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
	CHECK_EQ(ram, 0x600df00d);

	for (unsigned i = 0; i < sizeof(buffer); i++) {
		buffer[i] = (uint8_t)i;
	}
	p = buffer + 4;
	from = (uint32_t *)NOBODY;
	count = 16;
	__asm__ volatile("rep movsb" : "+S"(from), "+D"(p), "+c"(count) : : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(p, buffer + 20);
	CHECK_EQ(from, NOBODY + 16);
	CHECK_EQ(buffer[3], 3);
	CHECK_EQ(buffer[4], 0xff);
	CHECK_EQ(buffer[19], 0xff);
	CHECK_EQ(buffer[20], 20);
	/* cmps and scas stop where the bytes stop being equal. */
	p = buffer + 4;
	from = (uint32_t *)NOBODY;
	count = 28;
	__asm__ volatile("repe cmpsb" : "+S"(from), "+D"(p), "+c"(count) : : "memory", "cc");
	CHECK_EQ(p, buffer + 21);
	CHECK_EQ(count, 28 - 17);
	p = (uint8_t *)NOBODY;
	count = 9;
	__asm__ volatile("repe scasb" : "+D"(p), "+c"(count) : "a"(0xff) : "memory", "cc");
	CHECK_EQ(count, 0);
	CHECK_EQ(p, NOBODY + 9);
	p = (uint8_t *)NOBODY + 8;
	count = 5;
	__asm__ volatile("std; repne scasb; cld" : "+D"(p), "+c"(count) : "a"(0xff) : "memory", "cc");
	CHECK_EQ(count, 4);
	CHECK_EQ(p, NOBODY + 7);
}

static void check_vectors(void)
{
	static uint8_t buffer[64] __attribute__((aligned(32)));
	bool avx = cpuid(1, 0).c >> 28 & 1;

	__asm__ volatile("movups %1, %%xmm1; movaps %%xmm1, %0" : "=m"(buffer)
			 : "m"(*(volatile uint8_t(*)[16])NOBODY));
	for (unsigned i = 0; i < 16; i++) {
		CHECK_EQ(buffer[i], 0xff);
	}
	__asm__ volatile("pxor %%xmm1, %%xmm1; movdqa %%xmm1, %0; movups %%xmm1, %0; movq %%xmm1, %0;"
			 "movd %%xmm1, %1" : "=m"(*(volatile uint8_t(*)[16])NOBODY), "=m"(REG));
	CHECK_EQ(REG, 0);
	REG = 0x4f5f6f7f;
	__asm__ volatile("movd %1, %%xmm3; movd %%xmm3, %0" : "=r"(ram) : "m"(REG));
	CHECK_EQ(ram, 0x4f5f6f7f);
	if (!avx) {
		return;
	}
	write_cr4(read_cr4() | 1 << 18);
	__asm__ volatile("xsetbv" : : "a"(7), "c"(0), "d"(0));
	__asm__ volatile("vmovdqu %1, %%ymm9; vmovdqa %%ymm9, %0; vmovdqu %%ymm9, %1" : "=m"(buffer)
			 : "m"(*(volatile uint8_t(*)[32])NOBODY));
	for (unsigned i = 0; i < 32; i++) {
		CHECK_EQ(buffer[i], 0xff);
	}
}

static void check_config_space(void)
{
	uint32_t id;

	out32(0xcf8, 0x80000000);
	id = in32(0xcfc);
	CHECK(id != 0xffffffff);
	CHECK_EQ(mmio_read(ECAM), id);
	CHECK_EQ(*(volatile uint16_t *)ECAM, id & 0xffff);
	CHECK_EQ(*(volatile uint16_t *)(ECAM + 2), id >> 16);
	CHECK_EQ(*(volatile uint8_t *)(ECAM + 1), id >> 8 & 0xff);
	CHECK_EQ(mmio_read(ECAM + (31 << 15)), 0xffffffff);
}

void guest_main(void)
{
	lapic_write(LAPIC_TIMER, LVT_MASKED);
	check_moves();
	check_arithmetic();
	check_logic();
	check_strings();
	check_vectors();
	check_config_space();
}
