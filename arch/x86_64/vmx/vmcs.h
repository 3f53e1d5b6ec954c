/*
 * VMCS field encodings (Intel SDM vol. 3, "Field Encoding in VMCS") and access to the current VMCS.
 */
#pragma once

#include "hv/log.h"
#include "hv/types.h"

enum vmcs_field {
	VPID = 0x0000,

	GUEST_ES_SELECTOR = 0x0800, /* then CS SS DS FS GS LDTR TR, two apart */
	HOST_ES_SELECTOR = 0x0c00,
	HOST_CS_SELECTOR = 0x0c02,
	HOST_SS_SELECTOR = 0x0c04,
	HOST_DS_SELECTOR = 0x0c06,
	HOST_FS_SELECTOR = 0x0c08,
	HOST_GS_SELECTOR = 0x0c0a,
	HOST_TR_SELECTOR = 0x0c0c,

	IO_BITMAP_A = 0x2000,
	IO_BITMAP_B = 0x2002,
	MSR_BITMAP = 0x2004,
	TSC_OFFSET = 0x2010,
	VIRTUAL_APIC = 0x2012,
	EPT_POINTER = 0x201a,
	XSS_EXIT_BITMAP = 0x202c,
	GUEST_PHYSICAL_ADDRESS = 0x2400,
	VMCS_LINK_POINTER = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	GUEST_PAT = 0x2804,
	GUEST_EFER = 0x2806,
	GUEST_PDPTE0 = 0x280a, /* then 1 2 3, two apart */
	HOST_PAT = 0x2c00,
	HOST_EFER = 0x2c02,

	PIN_CONTROLS = 0x4000,
	PRIMARY_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	PF_ERROR_MASK = 0x4006,
	PF_ERROR_MATCH = 0x4008,
	CR3_TARGET_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORE_COUNT = 0x400e,
	EXIT_MSR_LOAD_COUNT = 0x4010,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOAD_COUNT = 0x4014,
	ENTRY_EVENT = 0x4016,
	ENTRY_EVENT_ERROR = 0x4018,
	ENTRY_INSN_LENGTH = 0x401a,
	TPR_THRESHOLD = 0x401c,
	SECONDARY_CONTROLS = 0x401e,

	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_EVENT = 0x4404,
	EXIT_EVENT_ERROR = 0x4406,
	IDT_VECTORING = 0x4408,
	IDT_VECTORING_ERROR = 0x440a,
	EXIT_INSN_LENGTH = 0x440c,

	GUEST_ES_LIMIT = 0x4800, /* then CS SS DS FS GS LDTR TR, two apart */
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_AR = 0x4814, /* then CS SS DS FS GS LDTR TR, two apart */
	GUEST_CS_AR = 0x4816,
	GUEST_SS_AR = 0x4818,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	GUEST_SYSENTER_CS = 0x482a,
	PREEMPTION_TIMER = 0x482e,
	HOST_SYSENTER_CS = 0x4c00,

	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	EXIT_QUALIFICATION = 0x6400,

	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_ES_BASE = 0x6806, /* then CS SS DS FS GS LDTR TR, two apart */
	GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	GUEST_SYSENTER_ESP = 0x6824,
	GUEST_SYSENTER_EIP = 0x6826,

	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06,
	HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_SYSENTER_ESP = 0x6c10,
	HOST_SYSENTER_EIP = 0x6c12,
	HOST_RSP = 0x6c14, /* entry.asm knows this number */
	HOST_RIP = 0x6c16,
};

/* Distance of the fields of two segments that follow each other: ES CS SS DS FS GS LDTR TR. */
enum { VMCS_SEGMENT_STEP = 2 };

enum {
	INTERRUPTIBILITY_STI = BIT(0),
	INTERRUPTIBILITY_MOV_SS = BIT(1),
	INTERRUPTIBILITY_NMI = BIT(3)
};

enum { PENDING_DEBUG_BS = BIT(14) };

static inline uint64_t vmread(enum vmcs_field f)
{
	uint64_t v;
	__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)f) : "cc", "memory");
	return v;
}

/* Fails only for a field that this CPU does not have, which would be our bug. */
static inline void vmwrite(enum vmcs_field f, uint64_t v)
{
	bool failed;
	__asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(v), "r"((uint64_t)f) : "memory");
	bug_on(failed);
}
