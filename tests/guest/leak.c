/*
 * What a guest leaves in the CPU's own registers: gone after its restart, and kept over an INIT but
 * for the debug registers. CMOS memory survives a reset and counts the starts; with `cpus=2` the
 * second CPU gets the INIT.
 */
#include "guest.h"

GUEST("leak");

enum { STAR = 0xc0000081, LSTAR, CSTAR, SFMASK, FS_BASE = 0xc0000100, KERNEL_GS_BASE = 0xc0000102,
       TSC_AUX, XSS = 0xda0, SYSENTER_ESP = 0x175 };
enum { CMOS_STARTS = 0x40, STARTS = 3, OSXSAVE = 1 << 18 };
#define FILL 0x1234567812345000ul

static volatile unsigned started, kept;
static bool has_tsc_aux, has_xsave, has_avx, has_xss;

static uint8_t cmos_read(uint8_t at)
{
	out8(0x70, at);
	return in8(0x71);
}

static void cmos_write(uint8_t at, uint8_t value)
{
	out8(0x70, at);
	out8(0x71, value);
}

static void find_features(void)
{
	has_tsc_aux = cpuid(0x80000001, 0).d >> 27 & 1;
	has_xsave = cpuid(1, 0).c >> 26 & 1;
	has_avx = has_xsave && cpuid(0xd, 0).a >> 2 & 1;
	has_xss = has_xsave && cpuid(0xd, 1).a >> 3 & 1;
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void xsetbv(uint32_t value)
{
	__asm__ volatile("xsetbv" : : "a"(value), "d"(0), "c"(0));
}

#define DR(n)                                                                                      \
	static uint64_t read_dr##n(void)                                                           \
	{                                                                                          \
		uint64_t v;                                                                        \
		__asm__ volatile("movq %%dr" #n ", %0" : "=r"(v));                                 \
		return v;                                                                          \
	}                                                                                          \
	static void write_dr##n(uint64_t v)                                                        \
	{                                                                                          \
		__asm__ volatile("movq %0, %%dr" #n : : "r"(v));                                   \
	}
DR(0)
DR(1)
DR(2)
DR(3)
DR(6)
DR(7)

static void check_debug_registers(void)
{
	CHECK_EQ(read_dr0(), 0);
	CHECK_EQ(read_dr1(), 0);
	CHECK_EQ(read_dr2(), 0);
	CHECK_EQ(read_dr3(), 0);
	CHECK_EQ(read_dr6(), 0xffff0ff0);
	CHECK_EQ(read_dr7(), 0x400);
}

static void fill_debug_registers(void)
{
	write_dr0(FILL);
	write_dr1(FILL + 1);
	write_dr2(FILL + 2);
	write_dr3(FILL + 3);
	write_dr6(0xffff0ff0 | 5);
	write_dr7(0x700);
}

/* XMM0 and XMM15, and with AVX their upper halves. */
static void read_vectors(uint64_t out[8])
{
	if (has_avx) {
		__asm__ volatile("vmovdqu %%ymm0, (%0); vmovdqu %%ymm15, 32(%0)" : : "r"(out) : "memory");
	} else {
		__asm__ volatile("movdqu %%xmm0, (%0); movdqu %%xmm15, 32(%0)" : : "r"(out) : "memory");
	}
}

static void fill_vectors(void)
{
	static const uint64_t fill[8] = {FILL, FILL, FILL, FILL, FILL, FILL, FILL, FILL};

	if (has_avx) {
		__asm__ volatile("vmovdqu (%0), %%ymm0; vmovdqu 32(%0), %%ymm15" : : "r"(fill) : "memory");
	} else {
		__asm__ volatile("movdqu (%0), %%xmm0; movdqu 32(%0), %%xmm15" : : "r"(fill) : "memory");
	}
}

static void check_vectors(uint64_t want)
{
	uint64_t v[8] = {0};

	read_vectors(v);
	for (unsigned i = 0; i < 8; i++) {
		if (i % 4 < 2 || has_avx) {
			CHECK_EQ(v[i], want);
		}
	}
}

/* FS base is a part of FS, so an INIT clears it. */
static const uint32_t msrs[] = {STAR, LSTAR, CSTAR, SFMASK, KERNEL_GS_BASE, SYSENTER_ESP, FS_BASE};

static uint64_t msr_fill(uint32_t msr)
{
	return msr == SFMASK ? 0x700 : msr == STAR ? 0x10000800000000 : 0x12345678000;
}

static void check_clean(void)
{
	uint32_t mxcsr;
	uint16_t status;

	check_debug_registers();
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	CHECK_EQ(mxcsr, 0x1f80);
	__asm__ volatile("fnstsw %0" : "=m"(status));
	CHECK_EQ(status, 0);
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		if (rdmsr(msrs[i])) {
			guest_fail("MSR %x is %lx", msrs[i], (unsigned long)rdmsr(msrs[i]));
		}
	}
	CHECK_EQ(read_cr2(), 0);
	if (has_tsc_aux) {
		CHECK_EQ(rdmsr(TSC_AUX), 0);
	}
	if (has_xsave) {
		write_cr4(read_cr4() | OSXSAVE);
		CHECK_EQ(xgetbv(), 1);
		xsetbv(has_avx ? 7 : 3);
	}
	if (has_xss) {
		CHECK_EQ(rdmsr(XSS), 0);
	}
	check_vectors(0);
}

static void fill(void)
{
	uint32_t mxcsr = 0x1f80 | 0x3f;

	fill_debug_registers();
	fill_vectors();
	__asm__ volatile("ldmxcsr %0; fninit; fldpi; fld1; fsin" : : "m"(mxcsr));
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		wrmsr(msrs[i], msr_fill(msrs[i]));
	}
	write_cr2(FILL);
	if (has_tsc_aux) {
		wrmsr(TSC_AUX, 77);
	}
}

/* The second CPU: the first time it fills its registers, the second time it looks what is left. */
static void other(unsigned index)
{
	(void)index;
	if (started == 0) {
		check_clean();
		fill();
	} else {
		check_debug_registers();
		for (size_t i = 0; i + 1 < sizeof(msrs) / sizeof(msrs[0]); i++) {
			CHECK_EQ(rdmsr(msrs[i]), msr_fill(msrs[i]));
		}
		if (has_tsc_aux) {
			CHECK_EQ(rdmsr(TSC_AUX), 77);
		}
		if (has_xsave) {
			write_cr4(read_cr4() | OSXSAVE);
			CHECK_EQ(xgetbv(), has_avx ? 7 : 3);
		}
		check_vectors(FILL);
		kept = 1;
	}
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		halt();
	}
}

static void check_init(void)
{
	lapic_enable();
	for (unsigned round = 0; round < 2; round++) {
		CHECK_EQ(smp_start(8, 1, other), 1);
		for (unsigned i = 0; i < 200000 && started == round; i++) {
			delay_us(100);
		}
		CHECK_EQ(started, round + 1);
	}
	CHECK_EQ(kept, 1);
}

void guest_main(void)
{
	uint8_t starts = cmos_read(CMOS_STARTS);

	find_features();
	print("start %u\n", starts);
	if (starts == 0 && guest_option("cpus", 1) == 2) {
		check_init();
	}
	check_clean();
	if (starts == STARTS) {
		return;
	}
	fill();
	cmos_write(CMOS_STARTS, (uint8_t)(starts + 1));
	out8(0xcf9, 2);
	out8(0xcf9, 6);
	for (;;) {
		halt();
	}
}
