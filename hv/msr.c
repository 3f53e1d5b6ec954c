/*
 * MSR policy: one const table tells what a guest may read and write.
 *
 * Backends ask msr_passed for their bitmaps; exit.c comes here for the rest. Emulated state is in
 * struct vcpu, so there is no lock and no other CPU's memory.
 */
#include "hv/msr.h"
#include "hv/cpuid.h"
#include "hv/crx.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/msr_index.h"
#include "hv/partition.h"
#include "hv/pvclock.h"
#include "hv/speculation.h"

enum action {
	GP,	 /* #GP(0), as for an MSR that the CPU does not have */
	PASS,	 /* the guest's own register, switched or left alone by the backend */
	EMULATE, /* a function below; SPEC_CTRL is PASS or this, see speculation.h */
	FIXED,	 /* read gives `value` */
	IGNORE,	 /* the write is dropped */
};

/* In the order of their numbers: find() halves it. */
static const struct policy {
	uint32_t first, last;
	uint8_t read, write;
	uint8_t feature; /* PASS needs it, else GP; FEATURES: always there */
	uint64_t value;
} table[] = {
	{MSR_TSC, MSR_TSC, PASS, EMULATE, FEATURES, 0},
	{MSR_PLATFORM_ID, MSR_PLATFORM_ID, FIXED, IGNORE, FEATURES, 0},
	{MSR_APIC_BASE, MSR_APIC_BASE, EMULATE, EMULATE, FEATURES, 0},
	{MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, FIXED, GP, FEATURES, 1}, /* locked, VMX off */
	{MSR_TSC_ADJUST, MSR_TSC_ADJUST, EMULATE, EMULATE, FEATURES, 0},
	{MSR_SPEC_CTRL, MSR_SPEC_CTRL, PASS, PASS, FEATURE_SPEC_CTRL, 0},
	{MSR_PRED_CMD, MSR_PRED_CMD, GP, PASS, FEATURE_IBPB, 0},
	{MSR_BIOS_UPDT_TRIG, MSR_BIOS_UPDT_TRIG, FIXED, IGNORE, FEATURES, 0},
	{MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, EMULATE, IGNORE, FEATURES, 0},
	{MSR_UMWAIT_CONTROL, MSR_UMWAIT_CONTROL, PASS, PASS, FEATURE_WAITPKG, 0},
	{MSR_MTRRCAP, MSR_MTRRCAP, FIXED, GP, FEATURES, 0x508}, /* WC, fixed, 8 variable */
	{MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, EMULATE, GP, FEATURE_ARCH_CAPABILITIES, 0},
	{MSR_FLUSH_CMD, MSR_FLUSH_CMD, GP, PASS, FEATURE_FLUSH_CMD, 0},
	{MSR_SYSENTER_CS, MSR_SYSENTER_EIP, PASS, PASS, FEATURES, 0},
	{MSR_MCG_CAP, MSR_MCG_CTL, FIXED, IGNORE, FEATURES, 0}, /* no banks */
	{MSR_MISC_ENABLE, MSR_MISC_ENABLE, EMULATE, EMULATE, FEATURES, 0},
	{MSR_DEBUGCTL, MSR_DEBUGCTL, FIXED, IGNORE, FEATURES, 0},
	{MSR_MTRR_PHYS_BASE0, MSR_MTRR_PHYS_MASK7, EMULATE, EMULATE, FEATURES, 0},
	{MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, EMULATE, EMULATE, FEATURES, 0},
	{MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, EMULATE, EMULATE, FEATURES, 0},
	{MSR_MTRR_FIX4K_C0000, MSR_MTRR_FIX4K_F8000, EMULATE, EMULATE, FEATURES, 0},
	{MSR_PAT, MSR_PAT, PASS, PASS, FEATURES, 0},
	{MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, EMULATE, EMULATE, FEATURES, 0},
	{MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, EMULATE, EMULATE, FEATURES, 0},
	{MSR_X2APIC_FIRST, MSR_X2APIC_LAST, EMULATE, EMULATE, FEATURES, 0},
	{MSR_XSS, MSR_XSS, EMULATE, EMULATE, FEATURES, 0},
	{MSR_PVCLOCK_WALL, MSR_PVCLOCK_SYSTEM, EMULATE, EMULATE, FEATURES, 0},
	{MSR_EFER, MSR_EFER, EMULATE, EMULATE, FEATURES, 0},
	{MSR_STAR, MSR_SFMASK, PASS, PASS, FEATURES, 0},
	{MSR_FS_BASE, MSR_KERNEL_GS_BASE, PASS, PASS, FEATURES, 0},
	{MSR_TSC_AUX, MSR_TSC_AUX, PASS, PASS, FEATURE_TSC_AUX, 0},
	/* AMD: what kernels read without asking CPUID first. */
	{MSR_AMD_SYSCFG, MSR_AMD_SYSCFG, FIXED, IGNORE, FEATURES, 0},
	{MSR_AMD_HWCR, MSR_AMD_HWCR, FIXED, IGNORE, FEATURES, BIT(24)}, /* TscFreqSel */
	{MSR_AMD_NB_CFG, MSR_AMD_NB_CFG, FIXED, IGNORE, FEATURES, 0},
	{MSR_AMD_INT_PENDING, MSR_AMD_INT_PENDING, FIXED, IGNORE, FEATURES, 0},
	{MSR_AMD_VM_CR, MSR_AMD_VM_CR, FIXED, IGNORE, FEATURES, BIT(4)}, /* SVMDIS */
	/* Not LS_CFG: kernels whose read of it succeeds trust its bit against store bypass. */
	{MSR_AMD_IC_CFG, MSR_AMD_BU_CFG, FIXED, IGNORE, FEATURES, 0},
	{MSR_AMD_DE_CFG, MSR_AMD_DE_CFG, FIXED, IGNORE, FEATURES, BIT(1)}, /* LFENCE serializes */
};

static const struct policy *find(uint32_t msr)
{
	const struct policy *p = table;

	for (size_t n = ARRAY_SIZE(table), half; n > 1; n -= half) {
		half = n / 2;
		p = msr >= p[half].first ? p + half : p;
	}
	return msr >= p->first && msr <= p->last ? p : NULL;
}

static enum action action(const struct policy *p, bool write)
{
	enum action a;

	if (!p || (p->feature != FEATURES && !cpuid_has(p->feature))) {
		return GP;
	}
	a = write ? p->write : p->read;
	return a == PASS && p->first == MSR_SPEC_CTRL && speculation_keeps_ibrs() ? EMULATE : a;
}

bool msr_passed(uint32_t msr, bool write)
{
	return action(find(msr), write) == PASS;
}

uint32_t msr_next(uint32_t msr)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].last >= msr) {
			return table[i].first > msr ? table[i].first : msr;
		}
	}
	return MSR_NONE;
}

/* One line per MSR and direction, whoever it was: a guest cannot flood the log. */
static void log_refused(struct vcpu *v, uint32_t msr, bool write)
{
	static uint32_t seen[64];
	static _Atomic unsigned count;
	uint32_t key = msr << 1 | write;
	unsigned n = atomic_load(&count);

	for (unsigned i = 0; i < n && i < ARRAY_SIZE(seen); i++) {
		if (seen[i] == key) {
			return;
		}
	}
	n = atomic_fetch_add(&count, 1);
	if (n >= ARRAY_SIZE(seen)) {
		atomic_store(&count, ARRAY_SIZE(seen));
		return;
	}
	seen[n] = key;
	log_line("%s: %s MSR 0x%x: not allowed, #GP", v->part->config->name,
		 write ? "WRMSR to" : "RDMSR of", msr);
}

static uint64_t *mtrr_slot(struct vcpu *v, uint32_t msr)
{
	if (msr <= MSR_MTRR_PHYS_MASK7) {
		return &v->mtrr.variable[msr - MSR_MTRR_PHYS_BASE0];
	}
	if (msr == MSR_MTRR_DEF_TYPE) {
		return &v->mtrr.def_type;
	}
	if (msr == MSR_MTRR_FIX64K) {
		return &v->mtrr.fixed[0];
	}
	if (msr <= MSR_MTRR_FIX16K_A0000) {
		return &v->mtrr.fixed[1 + msr - MSR_MTRR_FIX16K_80000];
	}
	return &v->mtrr.fixed[3 + msr - MSR_MTRR_FIX4K_C0000];
}

static bool mtrr_type_ok(uint64_t type)
{
	return type <= 6 && type != 2 && type != 3;
}

/* Legal values are stored; they change no mapping ("Memory Type Range Registers"). */
static bool mtrr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t physical = FIELD(cpuid_maxphyaddr() - 1, 12);

	if (msr == MSR_MTRR_DEF_TYPE) {
		if ((value & ~0xcffull) || !mtrr_type_ok(value & 0xff)) {
			return false;
		}
	} else if (msr <= MSR_MTRR_PHYS_MASK7) {
		if (msr & 1 ? value & ~(physical | BIT(11))
			    : (value & ~(physical | 0xff)) || !mtrr_type_ok(value & 0xff)) {
			return false;
		}
	} else {
		for (unsigned i = 0; i < 64; i += 8) {
			if (!mtrr_type_ok((value >> i) & 0xff)) {
				return false;
			}
		}
	}
	*mtrr_slot(v, msr) = value;
	return true;
}

/*
 * What IA32_ARCH_CAPABILITIES says of the CPU itself (..._NO, IBRS_ALL, RSBA, FB_CLEAR, ...). The
 * other bits announce MSRs that a guest does not get: TSX_CTRL, MCU_OPT_CTRL, XAPIC_DISABLE_STATUS.
 */
#define ARCH_CAPABILITIES_SHOWN                                                                    \
	(FIELD(6, 0) | BIT(8) | FIELD(15, 13) | BIT(17) | FIELD(20, 19) | BIT(24) | FIELD(28, 26))

static bool emulate_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_APIC_BASE:
	case MSR_TSC_DEADLINE: return vlapic_rdmsr(&v->apic, msr, host_tsc(), value);
	case MSR_TSC_ADJUST: *value = v->tsc_adjust; return true;
	case MSR_SPEC_CTRL: *value = v->spec_ctrl; return true;
	case MSR_BIOS_SIGN_ID:
	case MSR_ARCH_CAPABILITIES:
		if (!host_rdmsr(msr, value)) {
			*value = 0;
		}
		*value &= msr == MSR_ARCH_CAPABILITIES ? ARCH_CAPABILITIES_SHOWN : UINT64_MAX;
		return true;
	case MSR_PVCLOCK_WALL: *value = 0; return true;
	case MSR_PVCLOCK_SYSTEM: *value = v->pvclock; return true;
	case MSR_MISC_ENABLE: *value = v->misc_enable; return true;
	case MSR_XSS: *value = 0; return cpuid_has(FEATURE_XSAVES);
	case MSR_EFER:
		vcpu_need(v, GROUP_CR);
		*value = v->regs.efer;
		return true;
	default: *value = *mtrr_slot(v, msr); return true;
	}
}

/* An armed TSC deadline is a guest TSC value, so it moves on the machine's clock. */
static void move_tsc(struct vcpu *v, uint64_t by)
{
	v->tsc_offset += by;
	v->tsc_adjust += by;
	vcpu_touch(v, GROUP_TSC_OFFSET);
	pvclock_tsc_moved(v);
	vlapic_timer_rebase(&v->apic, host_tsc());
}

/* The hypervisor's IBRS stays set beside what the guest wants; the CPU knows what is reserved. */
static bool write_spec_ctrl(struct vcpu *v, uint64_t value)
{
	if (!speculation_write(value)) {
		return false;
	}
	v->spec_ctrl = value;
	return true;
}

static bool emulate_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_APIC_BASE:
	case MSR_TSC_DEADLINE: return vlapic_wrmsr(&v->apic, msr, host_tsc(), value);
	case MSR_TSC: move_tsc(v, value - (host_tsc() + v->tsc_offset)); return true;
	case MSR_TSC_ADJUST: move_tsc(v, value - v->tsc_adjust); return true;
	case MSR_SPEC_CTRL: return write_spec_ctrl(v, value);
	case MSR_PVCLOCK_WALL:
	case MSR_PVCLOCK_SYSTEM: return pvclock_write(v, msr, value);
	case MSR_MISC_ENABLE: v->misc_enable = value; return true;
	case MSR_XSS: return value == 0 && cpuid_has(FEATURE_XSAVES);
	case MSR_EFER: return crx_write_efer(v, value);
	default: return mtrr_write(v, msr, value);
	}
}

static inline uint64_t x2apic_now(uint32_t msr)
{
	return vlapic_is_timed(msr - MSR_X2APIC_FIRST) ? host_tsc() : 0;
}

bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const struct policy *p;

	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) {
		return vlapic_rdmsr(&v->apic, msr, x2apic_now(msr), value);
	}
	p = find(msr);
	switch (action(p, false)) {
	case EMULATE: return emulate_read(v, msr, value);
	case FIXED: *value = p->value; return true;
	default: log_refused(v, msr, false); return false;
	}
}

bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	const struct policy *p;

	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) {
		return vlapic_wrmsr(&v->apic, msr, x2apic_now(msr), value);
	}
	if (msr == MSR_TSC_DEADLINE) {
		return vlapic_wrmsr(&v->apic, msr, host_tsc(), value);
	}
	p = find(msr);
	switch (action(p, true)) {
	case EMULATE: return emulate_write(v, msr, value);
	case IGNORE: return true;
	default: log_refused(v, msr, true); return false;
	}
}
