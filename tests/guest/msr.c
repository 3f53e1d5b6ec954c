/*
 * MSRs: what nobody knows is #GP, what is known has its rules, and no number does any harm.
 */
#include "guest.h"

GUEST("msr");

enum { PAT = 0x277, EFER = 0xc0000080, STAR = 0xc0000081, LSTAR = 0xc0000082, FMASK = 0xc0000084,
       FS_BASE = 0xc0000100, GS_BASE = 0xc0000101, KERNEL_GS_BASE = 0xc0000102, TSC = 0x10,
       TSC_ADJUST = 0x3b, SYSENTER_CS = 0x174, SYSENTER_ESP = 0x175, SYSENTER_EIP = 0x176 };

static void check_kept(uint32_t msr, uint64_t value)
{
	uint64_t now, before = rdmsr(msr);

	CHECK_EQ(try_wrmsr(msr, value), -1);
	CHECK_EQ(try_rdmsr(msr, &now), -1);
	if (now != value) {
		guest_fail("MSR %x does not keep its value", msr);
	}
	wrmsr(msr, before);
}

static void check_gp(uint32_t msr, uint64_t value)
{
	if (try_wrmsr(msr, value) != EXC_GP || caught.error != 0) {
		guest_fail("writing %lx to MSR %x is no #GP(0)", (unsigned long)value, msr);
	}
}

/* Reads every MSR of a range, and counts those that are there. */
static unsigned sweep(uint32_t from, uint32_t to)
{
	unsigned there = 0;
	uint64_t value;

	for (uint32_t msr = from; msr < to; msr++) {
		int vector = try_rdmsr(msr, &value);

		if (vector == -1) {
			there++;
		} else if (vector != EXC_GP || caught.error != 0) {
			guest_fail("reading MSR %x: vector %d", msr, vector);
		}
	}
	return there;
}

void guest_main(void)
{
	uint64_t value, before;
	static const uint32_t nobodys[] = {0x480, 0x48b, 0x1234567, 0xc0010117, 0xc0011234, 0xffffffff};

	for (unsigned i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++) {
		CHECK_EQ(try_rdmsr(nobodys[i], &value), EXC_GP);
		check_gp(nobodys[i], 0);
	}
	check_kept(STAR, 0x001b001000000000);
	check_kept(LSTAR, 0xffffffff81000000);
	check_kept(FMASK, 0x47700);
	check_kept(FS_BASE, 0xffff888000000000);
	check_kept(GS_BASE, 0x7fffffffffff);
	check_kept(KERNEL_GS_BASE, 0xffffc90000000000);
	check_kept(SYSENTER_CS, 0x10);
	check_kept(SYSENTER_ESP, 0xfffffe0000000000);
	check_kept(SYSENTER_EIP, 0xffffffff82000000);
	check_kept(PAT, 0x0407050600070106);
	if (!guest_has_word("lax")) { /* passed through, and QEMU 7.2 takes any value */
		check_gp(LSTAR, 1ul << 63);
		check_gp(KERNEL_GS_BASE, 1ul << 48);
		check_gp(PAT, 2);
	}
	check_gp(EFER, rdmsr(EFER) ^ 1 << 8);	/* LME with paging on */
	check_gp(EFER, rdmsr(EFER) | 1 << 1);	/* reserved */
	check_gp(EFER, rdmsr(EFER) | 1ul << 40);
	check_gp(EFER, rdmsr(EFER) | 1 << 12);	/* SVME: no SVM for guests */
	check_kept(EFER, rdmsr(EFER) | 1);	/* SCE */
	check_gp(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1);

	/* The TSC goes where it is set, and TSC_ADJUST tells. */
	before = rdmsr(TSC_ADJUST);
	value = rdtsc();
	wrmsr(TSC_ADJUST, before + (1ul << 40));
	CHECK(rdtsc() - value >= 1ul << 40 && rdtsc() - value < (1ul << 40) + (1ul << 36));
	wrmsr(TSC, 1000);
	CHECK(rdtsc() < 1ul << 36);

	print("MSRs: %u below 0x2000, %u from 0xc0000000\n", sweep(0, 0x2000),
	      sweep(0xc0000000, 0xc0000400) + sweep(0xc0010000, 0xc0010400));
	CHECK_EQ(sweep(0x40000000, 0x40000400), 0);
}
