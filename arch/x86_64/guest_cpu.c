/*
 * Guest state that lives in this CPU's registers: see guest_cpu.h. Called by the backends on the
 * owner CPU; keeps no state of its own.
 */
#include "arch/x86_64/guest_cpu.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/msr_index.h"
#include "hv/vcpu.h"

enum { CPUID_1_ECX_XSAVE = BIT(26), XCR0_X87 = BIT(0), XCR0_SSE = BIT(1) };

static bool has_xsave(void)
{
	uint32_t r[4];

	host_cpuid(1, 0, r);
	return r[2] & CPUID_1_ECX_XSAVE;
}

bool guest_cpu_alloc(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count(); cpu++) {
		struct percpu *p = percpu_of[cpu];

		if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &p->virt_hpa)) {
			log_line("no memory for the virtualization page of CPU %u", cpu);
			return false;
		}
		p->virt = host_ptr(p->virt_hpa);
	}
	return true;
}

/*
 * The image of an XSAVE area, which starts with that of FXSAVE (Intel SDM vol. 1, "XSAVE Area").
 * A header of zeroes puts every component but the legacy ones to its initial configuration.
 */
static const struct {
	struct fxsave legacy;
	uint8_t header[64];
} __attribute__((aligned(64))) reset_image = {
	/* After RESET# the tags say "zero", not "empty", unlike after FNINIT. */
	.legacy = {.fcw = 0x40, .tags = 0xff, .mxcsr = MXCSR_RESET},
};
_Static_assert(sizeof(reset_image) == 576, "hardware layout");

static void reset_vectors(void)
{
	uint32_t r[4];

	if (has_xsave()) {
		host_cpuid(0xd, 0, r);
		xsetbv(0, (uint64_t)r[3] << 32 | r[0]);
		__asm__ volatile("xrstor64 %0"
				 :
				 : "m"(reset_image), "a"(r[0] & ~(uint32_t)(XCR0_X87 | XCR0_SSE)),
				   "d"(r[3]));
		xsetbv(0, XCR0_X87);
	}
	__asm__ volatile("fxrstor64 %0" : : "m"(reset_image));
}

void guest_cpu_reset_debug(void)
{
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
}

void guest_cpu_reset(void)
{
	static const uint32_t zeroed[] = {
		MSR_STAR,    MSR_LSTAR, MSR_CSTAR,   MSR_SFMASK,	 MSR_KERNEL_GS_BASE,
		MSR_FS_BASE, MSR_XSS,	MSR_TSC_AUX, MSR_UMWAIT_CONTROL,
	};

	reset_vectors();
	guest_cpu_reset_debug();
	for (size_t i = 0; i < ARRAY_SIZE(zeroed); i++) {
		host_wrmsr(zeroed[i], 0); /* one that this CPU does not have cannot leak either */
	}
}
