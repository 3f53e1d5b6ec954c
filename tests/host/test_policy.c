/*
 * CPUID, MSR and control register policy on the test machine of tests/fake.
 */
#include "hv/cpuid.h"
#include "hv/crx.h"
#include "hv/msr.h"
#include "hv/msr_index.h"
#include "hv/pvclock.h"
#include "hv/speculation.h"
#include "test.h"
#include "tests/fake/fake_guest.h"

static const uint8_t code[] = {0xf4};

static struct vcpu *vcpu(unsigned cpus)
{
	struct vcpu *v = fake_guest(cpus, "", code, sizeof(code))->vcpu[0];

	v->valid = GROUP_ALL;
	return v;
}

static uint32_t leaf(struct vcpu *v, uint32_t n, uint32_t sub, unsigned reg)
{
	uint32_t out[4];

	cpuid_guest(v, n, sub, out);
	return out[reg];
}

TEST(the_hypervisor_is_discoverable)
{
	struct vcpu *v = vcpu(1);
	uint32_t out[4];

	CHECK(leaf(v, 1, 0, 2) & BIT(31));
	cpuid_guest(v, 0x40000000, 0, out);
	CHECK_EQ(out[0], 0x40000010);
	CHECK(memcmp(&out[1], "MullionHyper", 12) == 0);
	CHECK_EQ(leaf(v, 0x40000010, 0, 0), 1000000);
	CHECK_EQ(leaf(v, 0x40000001, 0, 0), 0);
}

TEST(what_a_guest_does_not_have_is_hidden)
{
	struct vcpu *v = vcpu(1);

	CHECK_EQ(leaf(v, 1, 0, 2) & (BIT(3) | BIT(5) | BIT(6) | BIT(15)),
		 0); /* MONITOR VMX SMX PDCM */
	CHECK_EQ(leaf(v, 7, 0, 1) & (BIT(2) | BIT(4) | BIT(11) | BIT(14) | BIT(25)), 0);
	CHECK_EQ(leaf(v, 0xa, 0, 0), 0);
	CHECK_EQ(leaf(v, 0x14, 0, 0), 0);
	CHECK_EQ(leaf(v, 0xd, 0, 0), 7); /* no MPX */
}

TEST(x2apic_tsc_deadline_and_tsc_adjust_are_always_there)
{
	struct vcpu *v = vcpu(1);

	CHECK((leaf(v, 1, 0, 2) & (BIT(21) | BIT(24))) == (BIT(21) | BIT(24)));
	CHECK(leaf(v, 7, 0, 1) & BIT(1));
}

TEST(osxsave_ospke_and_apic_follow_the_vcpu)
{
	struct vcpu *v = vcpu(1);

	CHECK(!(leaf(v, 1, 0, 2) & BIT(27)));
	v->regs.cr4 = CR4_OSXSAVE;
	CHECK(leaf(v, 1, 0, 2) & BIT(27));
	CHECK(leaf(v, 1, 0, 3) & BIT(9));
	CHECK(vlapic_wrmsr(&v->apic, MSR_APIC_BASE, 0, 0xfee00100));
	CHECK(!(leaf(v, 1, 0, 3) & BIT(9)));
}

TEST(arch_capabilities_announces_no_msr_that_faults)
{
	struct vcpu *v = vcpu(1);
	uint64_t value;

	fake_host.msr = UINT64_MAX;
	CHECK(msr_read(v, MSR_ARCH_CAPABILITIES, &value));
	CHECK(value & BIT(0)); /* RDCL_NO */
	/* TSX_CTRL, energy filtering, DOITM, FB_CLEAR_CTRL, XAPIC_DISABLE, overclocking, GDS_CTRL
	 */
	CHECK_EQ(value & (BIT(7) | BIT(10) | BIT(12) | BIT(18) | BIT(21) | BIT(23) | BIT(25)), 0);
	CHECK_EQ(value >> 29, 0);
}

TEST(features_without_their_control_are_not_shown)
{
	struct vcpu *v = vcpu(1);

	CHECK(leaf(v, 7, 0, 1) & BIT(10));
	CHECK(leaf(v, 0x80000001, 0, 3) & BIT(27));
	CHECK(msr_passed(MSR_TSC_AUX, true));
	virt_controls = 0;
	cpuid_init();
	CHECK(!(leaf(v, 7, 0, 1) & BIT(10)));
	CHECK(!(leaf(v, 0x80000001, 0, 3) & BIT(27)));
	CHECK(!(leaf(v, 0xd, 1, 0) & BIT(3)));
	CHECK(!msr_passed(MSR_TSC_AUX, true));
}

/* One with every feature that there is. */
static void full_cpu(uint32_t leaf_number, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	memset(out, 0xff, 16);
	switch (leaf_number) {
	case 0: out[0] = 0x1f; break;
	case 7: out[0] = 1; break;
	case 0x80000000: out[0] = 0x80000021; break;
	case 0x80000008: out[0] = 0x3030; break;
	case 0xd: memset(out, 0, 16); break;
	}
}

TEST(a_feature_is_shown_with_its_msrs_only)
{
	struct vcpu *v = vcpu(1);

	CHECK(!msr_passed(MSR_UMWAIT_CONTROL, false));
	fake_host.cpuid = full_cpu;
	cpuid_init();
	CHECK(leaf(v, 7, 0, 2) & BIT(5)); /* WAITPKG */
	CHECK(msr_passed(MSR_UMWAIT_CONTROL, false) && msr_passed(MSR_UMWAIT_CONTROL, true));
	CHECK_EQ(leaf(v, 0x80000008, 0, 1) & BIT(25), 0);	      /* VIRT_SSBD */
	CHECK_EQ(leaf(v, 0x80000001, 0, 2) & (BIT(26) | BIT(30)), 0); /* DRn_ADDR_MASK */
	virt_controls = 0;
	cpuid_init();
	CHECK(!(leaf(v, 7, 0, 2) & BIT(5)));
	CHECK(!msr_passed(MSR_UMWAIT_CONTROL, true));
	fake_host.cpuid = NULL;
	virt_controls = CONTROL_ALL;
	cpuid_init();
}

/* Linux takes a machine whose LS_CFG can be read for one that it can protect by it. */
TEST(no_protection_is_feigned)
{
	struct vcpu *v = vcpu(1);
	uint64_t value;

	CHECK(!msr_read(v, MSR_AMD_LS_CFG, &value));
	CHECK(!msr_write(v, MSR_AMD_LS_CFG, 1 << 10));
}

TEST(spec_ctrl_is_the_guests_unless_ibrs_stays_set)
{
	struct vcpu *v = vcpu(1);
	uint64_t value;

	fake_host.msr = 1; /* no IBRS_ALL */
	speculation_init();
	CHECK(msr_passed(MSR_SPEC_CTRL, false) && msr_passed(MSR_SPEC_CTRL, true));
	fake_host.msr = 2;
	speculation_init();
	CHECK(!msr_passed(MSR_SPEC_CTRL, false) && !msr_passed(MSR_SPEC_CTRL, true));
	CHECK(msr_passed(MSR_PRED_CMD, true));
	/* The guest finds what it wrote. */
	CHECK(msr_write(v, MSR_SPEC_CTRL, 4));
	CHECK_EQ(fake_host.spec_ctrl, 5);
	CHECK(msr_read(v, MSR_SPEC_CTRL, &value));
	CHECK_EQ(value, 4);
	CHECK(!msr_write(v, MSR_SPEC_CTRL, FAKE_SPEC_CTRL_RESERVED));
	CHECK(msr_read(v, MSR_SPEC_CTRL, &value));
	CHECK_EQ(value, 4);
	vcpu_reset(v, true);
	CHECK_EQ(v->spec_ctrl, 4);
	vcpu_reset(v, false);
	CHECK_EQ(v->spec_ctrl, 0);
	fake_host.msr = 1;
	speculation_init();
}

static bool passed(uint32_t msr)
{
	return msr_passed(msr, false) || msr_passed(msr, true);
}

TEST(every_passed_msr_is_among_the_named)
{
	static const uint32_t base[] = {0, 0xc0000000, 0xc0010000};
	unsigned all = 0, named = 0;

	for (unsigned n = 0; n < ARRAY_SIZE(base); n++) {
		for (uint32_t i = 0; i < 0x2000; i++) {
			all += passed(base[n] + i);
		}
	}
	for (uint32_t msr = msr_next(0), next; msr != MSR_NONE; msr = next) {
		named += passed(msr);
		next = msr_next(msr + 1);
		CHECK(next > msr);
	}
	CHECK(all > 10);
	CHECK_EQ(named, all);
}

TEST(topology_tells_one_core_per_vcpu)
{
	struct vcpu *v = vcpu(3), *last = v->part->vcpu[2];

	CHECK_EQ(leaf(v, 1, 0, 1) >> 16 & 0xff, 3);
	CHECK_EQ(leaf(v, 0xb, 0, 1), 1);
	CHECK_EQ(leaf(v, 0xb, 1, 0), 2); /* two bits of id */
	CHECK_EQ(leaf(v, 0xb, 1, 1), 3);
	CHECK_EQ(leaf(v, 4, 0, 0) >> 26, 2);
	CHECK_EQ(leaf(v, 4, 0, 0) >> 14 & 0xfff, 0);
	CHECK_EQ(leaf(v, 4, 3, 0) >> 14 & 0xfff, 2);
	last->valid = GROUP_ALL;
	CHECK_EQ(leaf(last, 1, 0, 1) >> 24, 2);
	CHECK_EQ(leaf(last, 0xb, 0, 3), 2);
}

TEST(the_tsc_is_invariant_only_when_the_machine_was_found_so)
{
	struct vcpu *v = vcpu(1);

	CHECK(leaf(v, 0x80000007, 0, 3) & BIT(8));
	CHECK_EQ(leaf(v, 0x15, 0, 2), 1000000000);
	host_tsc_reliable = false;
	cpuid_init();
	CHECK(!(leaf(v, 0x80000007, 0, 3) & BIT(8)));
	CHECK_EQ(leaf(v, 0x15, 0, 2), 0);
}

TEST(xsave_sizes_follow_xcr0)
{
	struct vcpu *v = vcpu(1);

	fake_host.xcr0 = 3;
	CHECK_EQ(leaf(v, 0xd, 0, 1), 576);
	fake_host.xcr0 = 7;
	CHECK_EQ(leaf(v, 0xd, 0, 1), 832);
	CHECK_EQ(leaf(v, 0xd, 0, 2), 832);
	CHECK_EQ(leaf(v, 0xd, 1, 1), 832);
}

TEST(msrs_that_must_not_exit_do_not)
{
	static const uint32_t passed[] = {MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,
					  MSR_LSTAR,   MSR_CSTAR,   MSR_SFMASK};

	vcpu(1);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		CHECK(msr_passed(passed[i], false));
		CHECK(msr_passed(passed[i], true));
	}
	CHECK(msr_passed(MSR_TSC, false));
	CHECK(!msr_passed(MSR_TSC, true));
	CHECK(!msr_passed(MSR_EFER, false));
	CHECK(!msr_passed(0x12345, false));
}

TEST(tsc_writes_move_offset_adjust_and_deadline)
{
	struct vcpu *v = vcpu(1);
	uint64_t value;

	fake_host.tsc = 1000;
	CHECK(msr_write(v, MSR_TSC, 5000));
	CHECK_EQ(v->tsc_offset, 4000);
	CHECK(msr_read(v, MSR_TSC_ADJUST, &value));
	CHECK_EQ(value, 4000);
	CHECK(msr_write(v, MSR_TSC_ADJUST, 0));
	CHECK_EQ(v->tsc_offset, 0);
	CHECK(vlapic_wrmsr(&v->apic, MSR_X2APIC_FIRST, 0, 0) == false);
}

TEST(mtrrs_hold_what_is_legal)
{
	struct vcpu *v = vcpu(1);
	uint64_t value;

	CHECK(msr_read(v, MSR_MTRR_DEF_TYPE, &value));
	CHECK_EQ(value, 0xc06);
	CHECK(msr_write(v, MSR_MTRR_PHYS_BASE0, 0x80000000));
	CHECK(msr_read(v, MSR_MTRR_PHYS_BASE0, &value));
	CHECK_EQ(value, 0x80000000);
	CHECK(!msr_write(v, MSR_MTRR_PHYS_BASE0, 2));
	CHECK(!msr_write(v, MSR_MTRR_DEF_TYPE, 7));
	CHECK(!msr_write(v, MSR_MTRR_PHYS_BASE0 + 1, 1ull << 60));
	CHECK(!msr_write(v, MSR_MTRR_FIX64K, 0x03));
	CHECK(!msr_write(v, MSR_MTRRCAP, 0));
}

TEST(cr0_rules)
{
	struct vcpu *v = vcpu(1);

	CHECK(!crx_write_cr0(v, 1ull << 32));
	CHECK(!crx_write_cr0(v, CR0_PG));
	CHECK(!crx_write_cr0(v, CR0_PE | CR0_NW));
	CHECK(crx_write_cr0(v, CR0_PE));
	CHECK_EQ(v->regs.cr0, CR0_PE | CR0_ET);
	v->regs.efer = EFER_LME;
	CHECK(!crx_write_cr0(v, CR0_PE | CR0_PG)); /* long mode without PAE */
	v->regs.cr4 = CR4_PAE;
	CHECK(crx_write_cr0(v, CR0_PE | CR0_PG));
	CHECK(v->regs.efer & EFER_LMA);
	CHECK(crx_write_cr0(v, CR0_PE));
	CHECK(!(v->regs.efer & EFER_LMA));
}

TEST(cr4_rules)
{
	struct vcpu *v = vcpu(1);

	CHECK(!crx_write_cr4(v, CR4_VMXE));
	CHECK(!crx_write_cr4(v, CR4_LA57)); /* not shown */
	CHECK(!crx_write_cr4(v, 1ull << 40));
	CHECK(crx_write_cr4(v, CR4_PAE | CR4_SMEP));
	CHECK(!crx_write_cr4(v, CR4_PAE | CR4_PCIDE)); /* not in long mode */
	v->regs.efer = EFER_LMA | EFER_LME;
	CHECK(crx_write_cr4(v, CR4_PAE | CR4_PCIDE));
	CHECK(!crx_write_cr4(v, 0)); /* PAE stays in long mode */
}

TEST(efer_and_xcr0_rules)
{
	struct vcpu *v = vcpu(1);

	CHECK(!crx_write_efer(v, EFER_SVME));
	CHECK(crx_write_efer(v, EFER_LME | EFER_NXE | EFER_SCE));
	v->regs.cr0 = CR0_PE | CR0_PG;
	CHECK(!crx_write_efer(v, EFER_NXE)); /* LME with paging on */
	CHECK(!crx_write_xcr0(1, 1));
	CHECK(!crx_write_xcr0(0, 2));
	CHECK(!crx_write_xcr0(0, 5));
	CHECK(!crx_write_xcr0(0, 0x1f));
	CHECK(crx_write_xcr0(0, 7));
	CHECK_EQ(fake_host.xcr0, 7);
}

TEST(pvclock_tells_the_frequency)
{
	static const uint64_t hz[] = {4000000, 999999999, 1000000000, 2596130000, 5000000000};
	struct vcpu *v = vcpu(1);
	uint64_t words[4];
	uint32_t mul;
	int8_t shift;

	for (size_t i = 0; i < ARRAY_SIZE(hz); i++) {
		/* Linux: pvclock_tsc_khz */
		uint64_t khz = 1000000ull << 32;

		pvclock_scale(hz[i], &mul, &shift);
		khz /= mul;
		khz = shift < 0 ? khz << -shift : khz >> shift;
		CHECK(khz >= hz[i] / 1000 - 1 && khz <= hz[i] / 1000 + 4);
	}
	CHECK(memcmp(&(uint32_t){leaf(v, 0x40000100, 0, 1)}, "KVMK", 4) == 0);
	fake_host.tsc = 7000;
	CHECK(msr_write(v, MSR_PVCLOCK_SYSTEM, 0x3001));
	CHECK(addrspace_read(&v->part->as, gpa(0x3000), words, sizeof(words)));
	CHECK_EQ(words[1], v->part->start_tsc);
	CHECK_EQ(words[2], 0);
	CHECK(msr_write(v, MSR_TSC, 10000));
	CHECK(addrspace_read(&v->part->as, gpa(0x3000), words, sizeof(words)));
	CHECK_EQ(words[1], v->part->start_tsc + 3000);
	CHECK_EQ(words[0], 4);				   /* a new version, and an even one */
	CHECK(!msr_write(v, MSR_PVCLOCK_SYSTEM, 0x3003));  /* not aligned */
	CHECK(!msr_write(v, MSR_PVCLOCK_SYSTEM, 0xa0001)); /* the VGA hole is not RAM */
	CHECK(!msr_write(v, MSR_PVCLOCK_WALL, ~0ull - 3));
}

TEST(a_cpu_that_contradicts_itself_about_xsave_does_not_compact)
{
	struct vcpu *v = vcpu(1);

	CHECK_EQ(leaf(v, 0xd, 1, 0), 0xf);
	fake_host.xsave_bytes = 700;
	cpuid_init();
	CHECK_EQ(leaf(v, 0xd, 1, 0), 5);
	CHECK(strstr(fake_log, "quirk xsavec-size") != NULL);
	CHECK_EQ(fake_host.xcr0, 1);
}

/* msr.c halves a table in the order of the numbers; whatever is out of place is not found. */
TEST(every_msr_of_the_table_is_found)
{
	static const uint32_t passed[] = {MSR_SYSENTER_CS,   MSR_SYSENTER_EIP, MSR_PAT,
					  MSR_STAR,	     MSR_SFMASK,       MSR_FS_BASE,
					  MSR_KERNEL_GS_BASE};
	static const uint32_t answered[] = {MSR_PLATFORM_ID,
					    MSR_APIC_BASE,
					    MSR_FEATURE_CONTROL,
					    MSR_TSC_ADJUST,
					    MSR_BIOS_UPDT_TRIG,
					    MSR_BIOS_SIGN_ID,
					    MSR_MTRRCAP,
					    MSR_MCG_CAP,
					    MSR_MCG_CTL,
					    MSR_MISC_ENABLE,
					    MSR_DEBUGCTL,
					    MSR_MTRR_PHYS_BASE0,
					    MSR_MTRR_PHYS_MASK7,
					    MSR_MTRR_FIX64K,
					    MSR_MTRR_FIX16K_80000,
					    MSR_MTRR_FIX16K_A0000,
					    MSR_MTRR_FIX4K_C0000,
					    MSR_MTRR_FIX4K_F8000,
					    MSR_MTRR_DEF_TYPE,
					    MSR_TSC_DEADLINE,
					    MSR_PVCLOCK_WALL,
					    MSR_PVCLOCK_SYSTEM,
					    MSR_EFER,
					    MSR_AMD_SYSCFG,
					    MSR_AMD_HWCR,
					    MSR_AMD_NB_CFG,
					    MSR_AMD_INT_PENDING,
					    MSR_AMD_VM_CR,
					    MSR_AMD_IC_CFG,
					    MSR_AMD_BU_CFG,
					    MSR_AMD_DE_CFG};
	struct vcpu *v = vcpu(1);
	uint64_t value;

	CHECK(msr_passed(MSR_TSC, false) && !msr_passed(MSR_TSC, true));
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		CHECK(msr_passed(passed[i], false) && msr_passed(passed[i], true));
	}
	for (size_t i = 0; i < ARRAY_SIZE(answered); i++) {
		CHECK(msr_read(v, answered[i], &value));
	}
	CHECK(!msr_read(v, MSR_TSC - 1, &value));
	CHECK(!msr_read(v, MSR_EFER - 1, &value));
	CHECK(!msr_read(v, MSR_AMD_DE_CFG + 1, &value));
	CHECK(!msr_read(v, UINT32_MAX, &value));
}

/* A CPU with less of everything than the test machine, which is the boot CPU. */
static void lesser_cpu(uint32_t leaf_number, uint32_t subleaf, uint32_t out[4])
{
	void (*own)(uint32_t, uint32_t, uint32_t[4]) = fake_host.cpuid;

	fake_host.cpuid = NULL;
	host_cpuid(leaf_number, subleaf, out);
	fake_host.cpuid = own;
	switch (leaf_number) {
	case 1: out[2] &= ~(uint32_t)(BIT(17) | BIT(21) | BIT(24)); break; /* PCID */
	case 7: out[1] &= ~(uint32_t)BIT(5); break;			   /* AVX2 */
	case 0xd:
		out[0] &= subleaf == 1 ? ~8u : ~4u; /* XSAVES; AVX state */
		break;
	case 0x80000007: out[3] = 0; break;
	case 0x80000008: out[0] = 0x3024; break;
	}
}

TEST(guests_see_what_all_cpus_have)
{
	struct vcpu *v = vcpu(1);
	unsigned bits = cpuid_maxphyaddr();

	fake_log_reset();
	cpuid_meet(); /* one that is the same */
	CHECK_STR(fake_log, "");
	CHECK_EQ(cpuid_maxphyaddr(), bits);
	CHECK(cpuid_has(FEATURE_PCID));
	fake_host.cpuid = lesser_cpu;
	cpuid_meet();
	CHECK(!cpuid_has(FEATURE_PCID));
	CHECK(!(leaf(v, 7, 0, 1) & BIT(5)));
	CHECK(!cpuid_has(FEATURE_XSAVES));
	CHECK_EQ(cpuid_xcr0_allowed(), 3);
	CHECK_EQ(cpuid_maxphyaddr(), 36);
	/* What is emulated, or was measured, stays. */
	CHECK(cpuid_has(FEATURE_X2APIC));
	CHECK(cpuid_has(FEATURE_TSC_DEADLINE));
	CHECK(leaf(v, 0x80000007, 0, 3) & BIT(8));
	CHECK(strstr(fake_log, "CPU 0 lacks CPUID 0x1 ECX 0x20000, which other CPUs have; no guest "
			       "sees it\n"));
	fake_host.cpuid = NULL;
	cpuid_init();
	CHECK(cpuid_has(FEATURE_PCID));
}
