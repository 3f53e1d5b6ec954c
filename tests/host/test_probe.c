/*
 * The feature probes of both backends on made-up machines: what is missing is named, all of it, and
 * firmware that has switched virtualization off is told from a CPU that has none.
 */
#define host_rdmsr machine_rdmsr
#define host_wrmsr machine_wrmsr
#define host_cpuid machine_cpuid
#define host_cpu   machine_cpu
#include "arch/x86_64/vmx/controls.c"
#define lacking svm_lacking
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
	CHECK_STR(r.text, "CPU 3 has no VMX INVPCID, unlike the boot CPU");
	CHECK_STR(fake_log, ""); /* the boot CPU has told what it lacks itself */
}

static void differs(uint32_t number, uint64_t value, const char *why)
{
	struct refusal r = {{0}};
	uint64_t own = *msr(number);

	*msr(number) = value;
	CHECK_EQ(vmx_check_cpu(&r), !why[0]);
	CHECK_STR(r.text, why);
	*msr(number) = own;
}

TEST(vmx_differences_that_matter)
{
	struct refusal r = {{0}};

	intel();
	CHECK(vmx_probe());
	/* More than the boot CPU has is no harm. */
	differs(MSR_VMX_PROCBASED_CTLS2, 0x0fffffff00000000, "");
	differs(MSR_VMX_EPT_VPID_CAP, 0x00000f0106334141 | BIT(22), "");
	/* The rest is, each in its own words. */
	differs(MSR_VMX_TRUE_PROCBASED_CTLS, 0xf7bffffe04006172,
		"CPU 3 has no VMX NMI-window exiting, unlike the boot CPU");
	differs(MSR_VMX_EPT_VPID_CAP, 0x00000f0106314141,
		"CPU 3 has no VMX 1 GiB EPT leaves, unlike the boot CPU");
	differs(MSR_VMX_EPT_VPID_CAP, 0x00000d0106334141,
		"CPU 3 has no VMX INVVPID, unlike the boot CPU");
	differs(MSR_VMX_EPT_VPID_CAP, 0, "CPU 3 has no VMX 4-level EPT, unlike the boot CPU");
	differs(MSR_VMX_BASIC, 0x00d810000000002c,
		"CPU 3 has other VMX capabilities than the boot CPU");
	differs(MSR_VMX_MISC, 0x600401e3, "CPU 3 has other VMX capabilities than the boot CPU");
	differs(MSR_VMX_CR4_FIXED1, 0x1727ff, "CPU 3 has other VMX capabilities than the boot CPU");
	differs(MSR_VMX_TRUE_PINBASED_CTLS, 0x000000ff00000096, /* posted interrupts by force */
		"CPU 3 has other VMX capabilities than the boot CPU");
	leaf_1_ecx = 0;
	CHECK(!vmx_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3 has no VMX, unlike the boot CPU");
}

/* --- VMX as KVM's nested VMX shows it (Linux 6.1, nested_vmx_setup_ctls_msrs) --- */

static void kvm(void)
{
	intel();
	*msr(MSR_FEATURE_CONTROL) = 0; /* QEMU sets it only with its own firmware's help */
	*msr(MSR_VMX_BASIC) = 0x00d8100011e57ed0;
	*msr(MSR_VMX_MISC) = 0x20000165;
	*msr(MSR_VMX_PROCBASED_CTLS2) = 0x00137bfe00000000;
	*msr(MSR_VMX_EPT_VPID_CAP) = 0x00000f0106334041;
	*msr(MSR_VMX_TRUE_PINBASED_CTLS) = 0x0000007f00000016;
	*msr(MSR_VMX_TRUE_PROCBASED_CTLS) = 0xfff9fffe04006172;
	*msr(MSR_VMX_TRUE_EXIT_CTLS) = 0x007fefff00036dfb;
	*msr(MSR_VMX_TRUE_ENTRY_CTLS) = 0x0000d3ff000011fb;
}

TEST(vmx_in_kvm)
{
	struct refusal r = {{0}};

	kvm();
	CHECK(vmx_probe());
	CHECK_STR(fake_log, "");
	CHECK(vmx_check_cpu(&r));
	CHECK_EQ(*msr(MSR_FEATURE_CONTROL), FEATURE_LOCK | FEATURE_VMX_OUTSIDE_SMX);
	CHECK_EQ(vmx_caps.revision, 0x11e57ed0);
	CHECK_EQ(vmx_caps.timer_shift, 5);
	/* Only what is wanted and what must be 1: KVM refuses an entry with anything else. */
	CHECK_EQ(vmx_caps.word[PIN],
		 0x16 | PIN_EXT_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER);
	CHECK_EQ(vmx_caps.word[SECONDARY], SECONDARY_EPT | SECONDARY_RDTSCP | SECONDARY_VPID |
						   SECONDARY_WBINVD | SECONDARY_UNRESTRICTED |
						   SECONDARY_INVPCID | SECONDARY_XSAVES);
}

/* An old host: KVM offers nothing beyond what EPT with unrestricted guests came with. */
TEST(vmx_in_kvm_on_a_westmere)
{
	kvm();
	*msr(MSR_VMX_PROCBASED_CTLS2) = (uint64_t)(SECONDARY_EPT | SECONDARY_UNRESTRICTED) << 32;
	*msr(MSR_VMX_TRUE_PINBASED_CTLS) &= ~((uint64_t)PIN_PREEMPTION_TIMER << 32);
	*msr(MSR_VMX_EPT_VPID_CAP) = 0x06114040; /* no VPID, 1 GiB leaves, A/D or execute-only */
	CHECK(vmx_probe());
	CHECK_STR(fake_log, "");
	CHECK_EQ(vmx_caps.word[SECONDARY], SECONDARY_EPT | SECONDARY_UNRESTRICTED);
	CHECK_EQ(virt_controls, 0);
}

/* No MSR beside the architectural ones may be needed: here all others fault. */
TEST(svm_in_kvm)
{
	struct refusal r = {{0}};

	amd();
	svm_edx = SVM_CAP_NPT | SVM_CAP_NEXT_RIP;
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		msrs[i].msr = ~msrs[i].msr;
	}
	CHECK(svm_probe());
	CHECK(svm_check_cpu(&r));
	CHECK_STR(fake_log, "");
	CHECK(svm_caps.next_rip);
	CHECK_EQ(svm_caps.clean, 0);
	CHECK_EQ(svm_caps.flush, TLB_FLUSH_ALL);
}

/* --- what a report says of them --- */

static char told[8192];

static void tell(const char *name, bool present, bool needed)
{
	size_t len = strlen(told);

	snprintf(told + len, sizeof(told) - len, "%s:%d:%d\n", name, present, needed);
}

TEST(features_of_vmx)
{
	intel();
	*msr(MSR_VMX_PROCBASED_CTLS2) &= ~((uint64_t)SECONDARY_UNRESTRICTED << 32);
	*msr(MSR_VMX_EPT_VPID_CAP) &= ~(uint64_t)EPT_CAP_1G;
	told[0] = 0;
	vmx_features(tell);
	CHECK(strstr(told, "true controls:1:1\n"));
	CHECK(strstr(told, "preemption timer:1:0\n"));
	CHECK(strstr(told, "unrestricted guest:0:1\n"));
	CHECK(strstr(told, "write-back EPT:1:1\n"));
	CHECK(strstr(told, "1 GiB EPT leaves:0:0\n"));
}

TEST(features_of_svm)
{
	amd();
	told[0] = 0;
	svm_features(tell);
	CHECK(strstr(told, "nested paging:1:1\n"));
	CHECK(strstr(told, "next RIP:0:0\n"));
	extended_ecx = 0;
	told[0] = 0;
	svm_features(tell);
	CHECK(strstr(told, "nested paging:0:1\n"));
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
	*msr(MSR_AMD_VM_CR) = VM_CR_SVMDIS | VM_CR_LOCK;
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

/* Switched off, but not locked: that is ours to change. */
TEST(svm_unlocked_is_switched_on)
{
	amd();
	*msr(MSR_AMD_VM_CR) = VM_CR_SVMDIS;
	CHECK(svm_probe());
	CHECK_STR(fake_log, "");
	CHECK_EQ(*msr(MSR_AMD_VM_CR), 0);
}

TEST(svm_cpus_that_differ)
{
	struct refusal r = {{0}};

	amd();
	svm_edx |= SVM_CAP_NEXT_RIP;
	CHECK(svm_probe());
	svm_edx |= SVM_CAP_CLEAN; /* more is no harm */
	CHECK(svm_check_cpu(&r));
	svm_edx = SVM_CAP_NPT;
	CHECK(!svm_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3 has no SVM next RIP, unlike the boot CPU");
	r.text[0] = 0;
	svm_edx |= SVM_CAP_NEXT_RIP;
	extended_edx = EDX_NX;
	CHECK(!svm_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3 has no SVM 1 GiB pages, unlike the boot CPU");
	r.text[0] = 0;
	extended_ecx = 0;
	CHECK(!svm_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3 has no SVM, unlike the boot CPU");
	r.text[0] = 0;
	amd();
	CHECK(svm_probe());
	*msr(MSR_AMD_VM_CR) = VM_CR_SVMDIS | VM_CR_LOCK;
	CHECK(!svm_check_cpu(&r));
	CHECK_STR(r.text, "CPU 3: virtualization (SVM) is switched off in the firmware setup");
}
