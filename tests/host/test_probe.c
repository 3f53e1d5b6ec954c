/*
 * The feature probes of both backends on made-up machines: what is missing is named, all of it, and
 * firmware that has switched virtualization off is told from a CPU that has none.
 */
#define host_rdmsr machine_rdmsr
#define host_wrmsr machine_wrmsr
#define host_cpuid machine_cpuid
#define host_cpu   machine_cpu
#include "arch/x86_64/vmx/controls.c"

#include "arch/x86_64/svm/probe.c"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

struct npt_format vmx_npt_format, svm_npt_format;

bool guest_cpu_alloc(void)
{
	return true;
}

/* Bochs 2.7, corei7_skylake_x, but for what a test changes. */
static struct {
	uint32_t msr;
	uint64_t value;
} msrs[] = {
	{MSR_FEATURE_CONTROL, 5},
	{MSR_VMX_BASIC, 0x00d810000000002b},
	{MSR_VMX_MISC, 0x600401e0},
	{MSR_VMX_CR0_FIXED0, 0x80000021},
	{MSR_VMX_CR0_FIXED1, 0xffffffff},
	{MSR_VMX_CR4_FIXED0, 0x2000},
	{MSR_VMX_CR4_FIXED1, 0x3727ff},
	{MSR_VMX_PROCBASED_CTLS2, 0x02177fff00000000},
	{MSR_VMX_EPT_VPID_CAP, 0x00000f0106334141},
	{MSR_VMX_TRUE_PINBASED_CTLS, 0x0000007f00000016},
	{MSR_VMX_TRUE_PROCBASED_CTLS, 0xf7f9fffe04006172},
	{MSR_VMX_TRUE_EXIT_CTLS, 0x007fffff00036dfb},
	{MSR_VMX_TRUE_ENTRY_CTLS, 0x0000ffff000011fb},
	{MSR_AMD_VM_CR, 0},
};
static uint32_t leaf_1_ecx, extended_ecx, extended_edx, svm_edx;

static uint64_t *msr(uint32_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (msrs[i].msr == number) {
			return &msrs[i].value;
		}
	}
	return NULL;
}

bool machine_rdmsr(uint32_t number, uint64_t *value)
{
	const uint64_t *m = msr(number);

	*value = m ? *m : 0;
	return m;
}

bool machine_wrmsr(uint32_t number, uint64_t value)
{
	uint64_t *m = msr(number);

	if (!m || (number == MSR_FEATURE_CONTROL && *m & FEATURE_LOCK)) {
		return false;
	}
	*m = value;
	return true;
}

void machine_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	memset(out, 0, 16);
	switch (leaf) {
	case 1: out[2] = leaf_1_ecx; break;
	case 0x80000000: out[0] = 0x8000000a; break;
	case 0x80000001:
		out[2] = extended_ecx;
		out[3] = extended_edx;
		break;
	case 0x8000000a: out[3] = svm_edx; break;
	}
}

unsigned machine_cpu(void)
{
	return 3;
}

static void intel(void)
{
	static __typeof__(msrs) first;
	static bool kept;

	if (!kept) {
		memcpy(first, msrs, sizeof(msrs));
		kept = true;
	}
	memcpy(msrs, first, sizeof(msrs));
	fake_log_reset();
	leaf_1_ecx = CPUID_1_ECX_VMX;
}

static void amd(void)
{
	intel();
	leaf_1_ecx = 0;
	extended_ecx = ECX_SVM;
	extended_edx = EDX_NX | EDX_GIB_PAGES;
	svm_edx = SVM_CAP_NPT;
}

static void logged(const char *line)
{
	if (!strstr(fake_log, line)) {
		printf("not logged: %s\nlog:\n%s", line, fake_log);
		CHECK(false);
	}
}

/* --- VMX --- */

TEST(vmx_all_there)
{
	struct refusal r = {{0}};

	intel();
	CHECK(vmx_probe());
	CHECK_STR(fake_log, "");
	CHECK_EQ(vmx_caps.word[PIN], 0x7f);
	/* INVPCID, XSAVES and RDTSCP, but no WAITPKG: what CPUID may show. */
	CHECK_EQ(virt_controls, CONTROL_RDTSCP | CONTROL_INVPCID | CONTROL_XSAVES);
	CHECK(vmx_npt_format.gib_leaves);
	CHECK_EQ(vmx_caps.word[PRIMARY] & (PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE), 0);
	CHECK_EQ(vmx_caps.word[PRIMARY] & (PRIMARY_INTR_WINDOW | PRIMARY_NMI_WINDOW), 0);
	CHECK_EQ(vmx_caps.word[ENTRY] & ENTRY_IA32E, 0);
	CHECK(vmx_check_cpu(&r));
}

TEST(vmx_every_missing_feature_is_named)
{
	intel();
	*msr(MSR_VMX_PROCBASED_CTLS2) &= ~((uint64_t)(SECONDARY_UNRESTRICTED) << 32);
	*msr(MSR_VMX_TRUE_PINBASED_CTLS) &= ~((uint64_t)PIN_VIRTUAL_NMI << 32);
	*msr(MSR_VMX_EPT_VPID_CAP) &= ~(uint64_t)EPT_CAP_2M;
	*msr(MSR_VMX_MISC) &= ~(uint64_t)MISC_STORES_LMA;
	CHECK(!vmx_probe());
	logged("missing: VMX virtual NMIs (a guest's NMI must block further ones until its "
	       "IRET)\n");
	logged("missing: VMX unrestricted guest (guests start in real mode)\n");
	logged("missing: VMX 2 MiB EPT leaves (guest RAM is mapped in large pages)\n");
	logged("missing: VMX EFER.LMA stored on exit (guests enter long mode by themselves)\n");
}

TEST(vmx_without_secondary_controls)
{
	intel();
	*msr(MSR_VMX_TRUE_PROCBASED_CTLS) &= ~((uint64_t)PRIMARY_SECONDARY << 32);
	*msr(MSR_VMX_PROCBASED_CTLS2) = 0;
	*msr(MSR_VMX_EPT_VPID_CAP) = 0;
	CHECK(!vmx_probe());
	logged("missing: VMX secondary controls (EPT is one of them)\n");
	logged("missing: VMX extended page tables (EPT) (guest memory is kept apart by them)\n");
}

TEST(vmx_optional_features)
{
	intel();
	*msr(MSR_VMX_PROCBASED_CTLS2) = (uint64_t)(SECONDARY_EPT | SECONDARY_UNRESTRICTED) << 32;
	*msr(MSR_VMX_TRUE_PINBASED_CTLS) &= ~((uint64_t)PIN_PREEMPTION_TIMER << 32);
	*msr(MSR_VMX_EPT_VPID_CAP) &= ~(uint64_t)EPT_CAP_1G;
	CHECK(vmx_probe());
	CHECK_STR(fake_log, "");
	CHECK_EQ(virt_controls, 0);
	CHECK_EQ(vmx_caps.word[PIN] & PIN_PREEMPTION_TIMER, 0);
	CHECK(!vmx_npt_format.gib_leaves);
}

/* A VPID that cannot be flushed is not used. */
TEST(vmx_vpid_needs_invvpid)
{
	intel();
	CHECK(vmx_probe());
	CHECK(vmx_caps.word[SECONDARY] & SECONDARY_VPID);
	*msr(MSR_VMX_EPT_VPID_CAP) &= ~EPT_CAP_INVVPID_SINGLE;
	CHECK(vmx_probe());
	CHECK_EQ(vmx_caps.word[SECONDARY] & SECONDARY_VPID, 0);
}

TEST(vmx_locked_off_by_firmware)
{
	struct refusal r = {{0}};

	intel();
	*msr(MSR_FEATURE_CONTROL) = FEATURE_LOCK;
	CHECK(!vmx_probe());
	logged("missing: CPU 3: virtualization (VT-x) is switched off in the firmware setup\n");
	CHECK(!vmx_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3: virtualization (VT-x) is switched off in the firmware setup");
}

TEST(vmx_unlocked_is_switched_on)
{
	intel();
	*msr(MSR_FEATURE_CONTROL) = 0;
	CHECK(vmx_probe());
	CHECK_EQ(*msr(MSR_FEATURE_CONTROL), FEATURE_LOCK | FEATURE_VMX_OUTSIDE_SMX);
}

TEST(vmx_not_there)
{
	intel();
	leaf_1_ecx = 0;
	*msr(MSR_FEATURE_CONTROL) = 0;
	CHECK(!vmx_probe());
	logged("missing: VMX itself");
	CHECK_EQ(*msr(MSR_FEATURE_CONTROL), 0); /* not touched without VMX */
}

TEST(vmx_cpus_that_differ)
{
	struct refusal r = {{0}};

	intel();
	CHECK(vmx_probe());
	*msr(MSR_VMX_PROCBASED_CTLS2) &= ~((uint64_t)SECONDARY_INVPCID << 32);
	CHECK(!vmx_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3 has other VMX capabilities than the boot CPU");
}

/* --- SVM --- */

TEST(svm_minimum)
{
	struct refusal r = {{0}};

	amd();
	CHECK(svm_probe());
	CHECK_STR(fake_log, "");
	CHECK(!svm_caps.next_rip);
	CHECK_EQ(svm_caps.clean, 0);
	CHECK_EQ(svm_caps.flush, TLB_FLUSH_ALL);
	CHECK(svm_npt_format.gib_leaves);
	CHECK_EQ(virt_controls, CONTROL_ALL);
	CHECK(svm_check_cpu(&r));
}

TEST(svm_optional_features)
{
	amd();
	svm_edx |= SVM_CAP_NEXT_RIP | SVM_CAP_CLEAN | SVM_CAP_FLUSH_ASID;
	extended_edx &= ~(uint32_t)EDX_GIB_PAGES;
	CHECK(svm_probe());
	CHECK(svm_caps.next_rip);
	CHECK_EQ(svm_caps.clean, CLEAN_ALL);
	CHECK_EQ(svm_caps.flush, TLB_FLUSH_ASID);
	CHECK(!svm_npt_format.gib_leaves);
}

TEST(svm_every_missing_feature_is_named)
{
	amd();
	svm_edx = 0;
	extended_edx = 0;
	*msr(MSR_AMD_VM_CR) = VM_CR_SVMDIS;
	CHECK(!svm_probe());
	logged("missing: CPU 3: virtualization (SVM) is switched off in the firmware setup\n");
	logged("missing: NX (MMIO and data must not be executable)\n");
	logged("missing: SVM nested paging (guest memory is kept apart by it)\n");
}

TEST(svm_not_there)
{
	amd();
	extended_ecx = 0;
	CHECK(!svm_probe());
	CHECK_STR(fake_log, "missing: SVM (guests run in it)\n");
}

TEST(svm_cpus_that_differ)
{
	struct refusal r = {{0}};

	amd();
	CHECK(svm_probe());
	svm_edx |= SVM_CAP_NEXT_RIP;
	CHECK(!svm_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3 has other SVM capabilities than the boot CPU");
}
