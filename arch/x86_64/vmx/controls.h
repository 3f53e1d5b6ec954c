/*
 * Which VM-execution, exit and entry controls are wanted, which this CPU allows, and what comes of
 * it (Intel SDM vol. 3, "VMX Capability Reporting Facility").
 */
#pragma once

#include "hv/refuse.h"
#include "hv/virt.h"

enum control_word { PIN, PRIMARY, SECONDARY, EXIT, ENTRY, CONTROL_WORDS };

enum {
	PIN_EXT_INTERRUPT = BIT(0),
	PIN_NMI = BIT(3),
	PIN_VIRTUAL_NMI = BIT(5),
	PIN_PREEMPTION_TIMER = BIT(6),

	PRIMARY_INTR_WINDOW = BIT(2),
	PRIMARY_TSC_OFFSET = BIT(3),
	PRIMARY_HLT = BIT(7),
	PRIMARY_INVLPG = BIT(9),
	PRIMARY_MWAIT = BIT(10),
	PRIMARY_RDPMC = BIT(11),
	PRIMARY_CR3_LOAD = BIT(15),
	PRIMARY_CR3_STORE = BIT(16),
	PRIMARY_TPR_SHADOW = BIT(21),
	PRIMARY_NMI_WINDOW = BIT(22),
	PRIMARY_IO_BITMAPS = BIT(25),
	PRIMARY_MSR_BITMAPS = BIT(28),
	PRIMARY_MONITOR = BIT(29),

	SECONDARY_EPT = BIT(1),
	SECONDARY_RDTSCP = BIT(3),
	SECONDARY_VPID = BIT(5),
	SECONDARY_WBINVD = BIT(6),
	SECONDARY_UNRESTRICTED = BIT(7),
	SECONDARY_INVPCID = BIT(12),
	SECONDARY_XSAVES = BIT(20),
	SECONDARY_USER_WAIT = BIT(26),

	EXIT_SAVE_DEBUG = BIT(2),
	EXIT_HOST_64 = BIT(9),
	EXIT_ACK_INTERRUPT = BIT(15),
	EXIT_SAVE_PAT = BIT(18),
	EXIT_LOAD_PAT = BIT(19),
	EXIT_SAVE_EFER = BIT(20),
	EXIT_LOAD_EFER = BIT(21),

	ENTRY_LOAD_DEBUG = BIT(2),
	ENTRY_IA32E = BIT(9),
	ENTRY_LOAD_PAT = BIT(14),
	ENTRY_LOAD_EFER = BIT(15),
};
#define PRIMARY_SECONDARY BIT(31)

/* IA32_VMX_EPT_VPID_CAP */
enum {
	EPT_CAP_WALK_4 = BIT(6),
	EPT_CAP_WB = BIT(14),
	EPT_CAP_2M = BIT(16),
	EPT_CAP_1G = BIT(17),
	EPT_CAP_INVEPT = BIT(20),
	EPT_CAP_INVEPT_ALL = BIT(26),
};
#define EPT_CAP_INVVPID	       BIT(32)
#define EPT_CAP_INVVPID_SINGLE BIT(41)

struct vmx_caps {
	uint32_t word[CONTROL_WORDS]; /* as written to the VMCS before any window is wanted */
	uint32_t revision;	      /* VMCS revision identifier */
	uint64_t ept;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	unsigned timer_shift; /* preemption timer: one count per 2^shift TSC ticks */
};

/*
 * Wanted bits that are allowed, and bits that must be 1. `allowed` is a capability MSR: low half,
 * bits that must be 1; high half, bits that may be 1.
 */
static inline uint32_t controls_meet(uint32_t wanted, uint64_t allowed)
{
	return (wanted | (uint32_t)allowed) & (uint32_t)(allowed >> 32);
}

static inline bool controls_allow(uint32_t bit, uint64_t allowed)
{
	return ((uint32_t)(allowed >> 32) & bit) == bit;
}

/*
 * The primary controls with the windows that are wanted. An NMI-window exit may come at once in the
 * shadow of STI, where no NMI can be injected on every CPU: that would go round for ever. STI has
 * set IF, so there the interrupt window is the one that opens behind the shadow.
 */
static inline uint32_t windows_primary(uint32_t primary, bool intr, bool nmi, bool sti)
{
	primary &= ~(uint32_t)(PRIMARY_INTR_WINDOW | PRIMARY_NMI_WINDOW);
	if (intr || (nmi && sti)) {
		primary |= PRIMARY_INTR_WINDOW;
	}
	return nmi && !sti ? primary | PRIMARY_NMI_WINDOW : primary;
}

/* What the boot CPU has; set by vmx_probe, read-only afterwards. */
extern struct vmx_caps vmx_caps;

/* Boot CPU: reads the capabilities; logs each required one that is missing. */
bool vmx_probe(void);
void vmx_features(virt_feature_fn tell);
/* Each CPU: refuses if it differs from the boot CPU, or if firmware has locked VMX off. */
bool vmx_check_cpu(struct refusal *r);
