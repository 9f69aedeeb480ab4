"""Contains all the data models used in inputs/outputs"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .account_answer import AccountAnswer
    from .action_enum import ActionEnum
    from .admin_token_answer import AdminTokenAnswer
    from .agreed_subscription import AgreedSubscription
    from .agreed_subscription_coupon import AgreedSubscriptionCoupon
    from .agreed_subscription_overrides import AgreedSubscriptionOverrides
    from .agreement_answer import AgreementAnswer
    from .alert_answer import AlertAnswer
    from .alert_answer_figures import AlertAnswerFigures
    from .alert_kind import AlertKind
    from .alerts_list_kind import AlertsListKind
    from .alerts_list_severity import AlertsListSeverity
    from .alerts_list_state import AlertsListState
    from .anomalies_list_scope import AnomaliesListScope
    from .anomaly_answer import AnomalyAnswer
    from .anomaly_answer_driver_type_0 import AnomalyAnswerDriverType0
    from .applies_to_enum import AppliesToEnum
    from .approval import Approval
    from .arm_answer import ArmAnswer
    from .audit_answer import AuditAnswer
    from .audit_answer_changes import AuditAnswerChanges
    from .band_answer import BandAnswer
    from .basis_enum import BasisEnum
    from .batch_answer import BatchAnswer
    from .batch_body import BatchBody
    from .batch_file_answer import BatchFileAnswer
    from .batches_list_status import BatchesListStatus
    from .bill_source_answer import BillSourceAnswer
    from .bridge_answer import BridgeAnswer
    from .budget_answer import BudgetAnswer
    from .budget_answer_within_type_0 import BudgetAnswerWithinType0
    from .budget_request_answer import BudgetRequestAnswer
    from .budget_request_answer_state_enum import BudgetRequestAnswerStateEnum
    from .budget_use_retrieve_scope import BudgetUseRetrieveScope
    from .cache_body import CacheBody
    from .cache_entry_answer import CacheEntryAnswer
    from .cache_policy_answer import CachePolicyAnswer
    from .cache_purge_answer import CachePurgeAnswer
    from .cache_purge_kind import CachePurgeKind
    from .cache_request_answer import CacheRequestAnswer
    from .cache_shadow_answer import CacheShadowAnswer
    from .cache_stats_answer import CacheStatsAnswer
    from .call_answer import CallAnswer
    from .call_answer_refused_by import CallAnswerRefusedBy
    from .call_answer_savings import CallAnswerSavings
    from .call_answer_tags import CallAnswerTags
    from .call_page import CallPage
    from .capture_policy_answer import CapturePolicyAnswer
    from .cause_enum import CauseEnum
    from .chain_answer import ChainAnswer
    from .channel_answer import ChannelAnswer
    from .channel_kind import ChannelKind
    from .collection_enum import CollectionEnum
    from .comparisons_answer import ComparisonsAnswer
    from .compression_policy_answer import CompressionPolicyAnswer
    from .compression_savings_answer import CompressionSavingsAnswer
    from .condition import Condition
    from .condition_tags import ConditionTags
    from .credit_notes_document_form import CreditNotesDocumentForm
    from .credit_notes_document_format import CreditNotesDocumentFormat
    from .credit_refund import CreditRefund
    from .customer_answer import CustomerAnswer
    from .customer_answer_credit import CustomerAnswerCredit
    from .customer_answer_owed import CustomerAnswerOwed
    from .dataset_answer import DatasetAnswer
    from .dataset_version_answer import DatasetVersionAnswer
    from .dataset_version_answer_labels import DatasetVersionAnswerLabels
    from .dataset_version_answer_lineage import DatasetVersionAnswerLineage
    from .dataset_version_answer_state_enum import DatasetVersionAnswerStateEnum
    from .dataset_versions_export_retrieve_format import DatasetVersionsExportRetrieveFormat
    from .dataset_versions_export_retrieve_part import DatasetVersionsExportRetrievePart
    from .day_answer import DayAnswer
    from .days_band import DaysBand
    from .deliveries_list_state import DeliveriesListState
    from .delivery_answer import DeliveryAnswer
    from .delivery_answer_state_enum import DeliveryAnswerStateEnum
    from .demo_removal import DemoRemoval
    from .denial import Denial
    from .digest_enum import DigestEnum
    from .distil_answer import DistilAnswer
    from .distil_body import DistilBody
    from .domain_answer import DomainAnswer
    from .dunning_enum import DunningEnum
    from .economy_answer import EconomyAnswer
    from .effect_answer import EffectAnswer
    from .end_user_answer import EndUserAnswer
    from .end_user_withdrawal import EndUserWithdrawal
    from .endpoint_answer import EndpointAnswer
    from .endpoint_cost_answer import EndpointCostAnswer
    from .endpoint_cost_answer_projects import EndpointCostAnswerProjects
    from .endpoint_end import EndpointEnd
    from .erased_answer import ErasedAnswer
    from .erasure import Erasure
    from .event_enum import EventEnum
    from .exceeding_answer import ExceedingAnswer
    from .excess_answer import ExcessAnswer
    from .export_format import ExportFormat
    from .finance_packs_archive_retrieve_format import FinancePacksArchiveRetrieveFormat
    from .finding_enum import FindingEnum
    from .fine_tune_body import FineTuneBody
    from .forecast_answer import ForecastAnswer
    from .grant import Grant
    from .group_answer import GroupAnswer
    from .group_answer_group import GroupAnswerGroup
    from .group_answer_labels import GroupAnswerLabels
    from .group_answer_savings import GroupAnswerSavings
    from .habits import Habits
    from .import_answer import ImportAnswer
    from .in_force_answer import InForceAnswer
    from .increase_answer import IncreaseAnswer
    from .invitation_answer import InvitationAnswer
    from .invoice_answer import InvoiceAnswer
    from .invoice_answer_groups_item import InvoiceAnswerGroupsItem
    from .invoice_answer_state_enum import InvoiceAnswerStateEnum
    from .invoice_event import InvoiceEvent
    from .invoice_kind import InvoiceKind
    from .invoices_document_form import InvoicesDocumentForm
    from .invoices_document_format import InvoicesDocumentFormat
    from .job_state import JobState
    from .kept_answer import KeptAnswer
    from .kept_point_answer import KeptPointAnswer
    from .key_answer import KeyAnswer
    from .learn_body import LearnBody
    from .learned_answer import LearnedAnswer
    from .learned_list_answer import LearnedListAnswer
    from .ledger_body import LedgerBody
    from .level_answer import LevelAnswer
    from .line_answer import LineAnswer
    from .line_answer_kind_enum import LineAnswerKindEnum
    from .line_call_answer import LineCallAnswer
    from .line_calls_answer import LineCallsAnswer
    from .lines_answer import LinesAnswer
    from .list_budget_requests_state import ListBudgetRequestsState
    from .list_budgets_scope import ListBudgetsScope
    from .list_price_answer import ListPriceAnswer
    from .list_price_answer_fees import ListPriceAnswerFees
    from .list_price_answer_long_context_item import ListPriceAnswerLongContextItem
    from .list_price_answer_service_tiers import ListPriceAnswerServiceTiers
    from .list_price_answer_service_tiers_additional_property import ListPriceAnswerServiceTiersAdditionalProperty
    from .list_price_change_answer import ListPriceChangeAnswer
    from .list_price_change_answer_changed import ListPriceChangeAnswerChanged
    from .long_context_row import LongContextRow
    from .lookup_answer import LookupAnswer
    from .match_answer import MatchAnswer
    from .measured_answer import MeasuredAnswer
    from .mechanism_answer import MechanismAnswer
    from .member_answer import MemberAnswer
    from .method_enum import MethodEnum
    from .methods_enum import MethodsEnum
    from .mode import Mode
    from .model_answer import ModelAnswer
    from .new_account import NewAccount
    from .new_admin_token import NewAdminToken
    from .new_admin_token_answer import NewAdminTokenAnswer
    from .new_bill_source import NewBillSource
    from .new_bucket import NewBucket
    from .new_budget import NewBudget
    from .new_budget_ladder_item import NewBudgetLadderItem
    from .new_budget_ladder_item_rung import NewBudgetLadderItemRung
    from .new_budget_request import NewBudgetRequest
    from .new_cache_policy import NewCachePolicy
    from .new_cache_purge import NewCachePurge
    from .new_capture_policy import NewCapturePolicy
    from .new_channel import NewChannel
    from .new_channel_answer import NewChannelAnswer
    from .new_checkout import NewCheckout
    from .new_compression_policy import NewCompressionPolicy
    from .new_credits import NewCredits
    from .new_dataset import NewDataset
    from .new_deployment import NewDeployment
    from .new_domain import NewDomain
    from .new_end_user import NewEndUser
    from .new_endpoint import NewEndpoint
    from .new_examples import NewExamples
    from .new_increase import NewIncrease
    from .new_invitation_body import NewInvitationBody
    from .new_key_answer import NewKeyAnswer
    from .new_key_body import NewKeyBody
    from .new_member import NewMember
    from .new_model import NewModel
    from .new_model_answer import NewModelAnswer
    from .new_note import NewNote
    from .new_note_lines_item import NewNoteLinesItem
    from .new_organization import NewOrganization
    from .new_organization_answer import NewOrganizationAnswer
    from .new_paid_replay import NewPaidReplay
    from .new_price import NewPrice
    from .new_price_adjustment import NewPriceAdjustment
    from .new_price_fees import NewPriceFees
    from .new_price_service_tiers import NewPriceServiceTiers
    from .new_project import NewProject
    from .new_provider_deployment import NewProviderDeployment
    from .new_provider_tuning import NewProviderTuning
    from .new_rate_limit import NewRateLimit
    from .new_rerating import NewRerating
    from .new_route import NewRoute
    from .new_rule import NewRule
    from .new_saved_view import NewSavedView
    from .new_service_account import NewServiceAccount
    from .new_sign_on import NewSignOn
    from .new_subscription import NewSubscription
    from .new_system_prompt import NewSystemPrompt
    from .new_teacher_run import NewTeacherRun
    from .new_training_job import NewTrainingJob
    from .new_tuned_deployment import NewTunedDeployment
    from .new_upstream import NewUpstream
    from .new_upstream_endpoint import NewUpstreamEndpoint
    from .new_version import NewVersion
    from .next_invoice_answer import NextInvoiceAnswer
    from .next_invoice_answer_groups_item import NextInvoiceAnswerGroupsItem
    from .organization_answer import OrganizationAnswer
    from .outlook_answer import OutlookAnswer
    from .output_limit_enum import OutputLimitEnum
    from .pack_answer import PackAnswer
    from .pack_to_enum import PackToEnum
    from .page_answer import PageAnswer
    from .page_enum import PageEnum
    from .paginated_admin_token_answer_list import PaginatedAdminTokenAnswerList
    from .paginated_alert_answer_list import PaginatedAlertAnswerList
    from .paginated_anomaly_answer_list import PaginatedAnomalyAnswerList
    from .paginated_audit_answer_list import PaginatedAuditAnswerList
    from .paginated_batch_answer_list import PaginatedBatchAnswerList
    from .paginated_bill_source_answer_list import PaginatedBillSourceAnswerList
    from .paginated_budget_answer_list import PaginatedBudgetAnswerList
    from .paginated_budget_request_answer_list import PaginatedBudgetRequestAnswerList
    from .paginated_cache_entry_answer_list import PaginatedCacheEntryAnswerList
    from .paginated_cache_policy_answer_list import PaginatedCachePolicyAnswerList
    from .paginated_cache_purge_answer_list import PaginatedCachePurgeAnswerList
    from .paginated_capture_policy_answer_list import PaginatedCapturePolicyAnswerList
    from .paginated_channel_answer_list import PaginatedChannelAnswerList
    from .paginated_compression_policy_answer_list import PaginatedCompressionPolicyAnswerList
    from .paginated_dataset_answer_list import PaginatedDatasetAnswerList
    from .paginated_dataset_version_answer_list import PaginatedDatasetVersionAnswerList
    from .paginated_delivery_answer_list import PaginatedDeliveryAnswerList
    from .paginated_domain_answer_list import PaginatedDomainAnswerList
    from .paginated_end_user_answer_list import PaginatedEndUserAnswerList
    from .paginated_endpoint_answer_list import PaginatedEndpointAnswerList
    from .paginated_increase_answer_list import PaginatedIncreaseAnswerList
    from .paginated_invitation_answer_list import PaginatedInvitationAnswerList
    from .paginated_invoice_answer_list import PaginatedInvoiceAnswerList
    from .paginated_key_answer_list import PaginatedKeyAnswerList
    from .paginated_list_price_answer_list import PaginatedListPriceAnswerList
    from .paginated_member_answer_list import PaginatedMemberAnswerList
    from .paginated_model_answer_list import PaginatedModelAnswerList
    from .paginated_organization_answer_list import PaginatedOrganizationAnswerList
    from .paginated_pack_answer_list import PaginatedPackAnswerList
    from .paginated_paid_replay_answer_list import PaginatedPaidReplayAnswerList
    from .paginated_plan_answer_list import PaginatedPlanAnswerList
    from .paginated_price_adjustment_answer_list import PaginatedPriceAdjustmentAnswerList
    from .paginated_price_answer_list import PaginatedPriceAnswerList
    from .paginated_project_answer_list import PaginatedProjectAnswerList
    from .paginated_provider_tuning_answer_list import PaginatedProviderTuningAnswerList
    from .paginated_rate_limit_answer_list import PaginatedRateLimitAnswerList
    from .paginated_rerating_answer_list import PaginatedReratingAnswerList
    from .paginated_route_answer_list import PaginatedRouteAnswerList
    from .paginated_rule_answer_list import PaginatedRuleAnswerList
    from .paginated_saved_view_answer_list import PaginatedSavedViewAnswerList
    from .paginated_service_account_answer_list import PaginatedServiceAccountAnswerList
    from .paginated_sign_on_answer_list import PaginatedSignOnAnswerList
    from .paginated_student_answer_list import PaginatedStudentAnswerList
    from .paginated_system_prompt_answer_list import PaginatedSystemPromptAnswerList
    from .paginated_teacher_run_answer_list import PaginatedTeacherRunAnswerList
    from .paginated_training_job_answer_list import PaginatedTrainingJobAnswerList
    from .paginated_transfer_answer_list import PaginatedTransferAnswerList
    from .paginated_tuned_model_answer_list import PaginatedTunedModelAnswerList
    from .paginated_upstream_answer_list import PaginatedUpstreamAnswerList
    from .paginated_upstream_endpoint_answer_list import PaginatedUpstreamEndpointAnswerList
    from .paid_replay_answer import PaidReplayAnswer
    from .part_answer import PartAnswer
    from .part_enum import PartEnum
    from .patched_account_changes import PatchedAccountChanges
    from .patched_budget_changes import PatchedBudgetChanges
    from .patched_budget_changes_ladder_item import PatchedBudgetChangesLadderItem
    from .patched_budget_changes_ladder_item_rung import PatchedBudgetChangesLadderItemRung
    from .patched_cache_policy_changes import PatchedCachePolicyChanges
    from .patched_capture_policy_changes import PatchedCapturePolicyChanges
    from .patched_channel_changes import PatchedChannelChanges
    from .patched_compression_policy_changes import PatchedCompressionPolicyChanges
    from .patched_end_user_changes import PatchedEndUserChanges
    from .patched_key_changes import PatchedKeyChanges
    from .patched_member_changes import PatchedMemberChanges
    from .patched_model_changes import PatchedModelChanges
    from .patched_organization_changes import PatchedOrganizationChanges
    from .patched_project_changes import PatchedProjectChanges
    from .patched_rate_limit_changes import PatchedRateLimitChanges
    from .patched_route_changes import PatchedRouteChanges
    from .patched_rule_changes import PatchedRuleChanges
    from .patched_service_account_changes import PatchedServiceAccountChanges
    from .patched_sign_on_changes import PatchedSignOnChanges
    from .patched_student_changes import PatchedStudentChanges
    from .patched_tuned_model_changes import PatchedTunedModelChanges
    from .patched_upstream_changes import PatchedUpstreamChanges
    from .patched_upstream_endpoint_changes import PatchedUpstreamEndpointChanges
    from .period_enum import PeriodEnum
    from .plan_answer import PlanAnswer
    from .playground_answer import PlaygroundAnswer
    from .playground_answer_candidates_item import PlaygroundAnswerCandidatesItem
    from .playground_answer_route_type_0 import PlaygroundAnswerRouteType0
    from .playground_body import PlaygroundBody
    from .playground_body_body import PlaygroundBodyBody
    from .playground_body_headers import PlaygroundBodyHeaders
    from .point_answer import PointAnswer
    from .policy_answer import PolicyAnswer
    from .preview_answer import PreviewAnswer
    from .price_adjustment_answer import PriceAdjustmentAnswer
    from .price_adjustment_kind import PriceAdjustmentKind
    from .price_answer import PriceAnswer
    from .price_answer_fees import PriceAnswerFees
    from .price_answer_long_context_item import PriceAnswerLongContextItem
    from .price_answer_service_tiers import PriceAnswerServiceTiers
    from .price_answer_service_tiers_additional_property import PriceAnswerServiceTiersAdditionalProperty
    from .probe_answer import ProbeAnswer
    from .problem import Problem
    from .problem_errors_item import ProblemErrorsItem
    from .project_answer import ProjectAnswer
    from .provider_cache_answer import ProviderCacheAnswer
    from .provider_tuning_answer import ProviderTuningAnswer
    from .public_key_answer import PublicKeyAnswer
    from .quality_answer import QualityAnswer
    from .range_body import RangeBody
    from .rate_limit_answer import RateLimitAnswer
    from .rate_limit_answer_within_type_0 import RateLimitAnswerWithinType0
    from .rate_limits_list_scope import RateLimitsListScope
    from .ratio_answer import RatioAnswer
    from .reconciled_answer import ReconciledAnswer
    from .rerating_answer import ReratingAnswer
    from .rerating_answer_state_enum import ReratingAnswerStateEnum
    from .roi_answer import RoiAnswer
    from .roi_body import RoiBody
    from .roi_body_ranges import RoiBodyRanges
    from .role import Role
    from .rollback import Rollback
    from .rotation import Rotation
    from .route_answer import RouteAnswer
    from .route_body import RouteBody
    from .route_kind import RouteKind
    from .route_savings_answer import RouteSavingsAnswer
    from .route_version_answer import RouteVersionAnswer
    from .route_version_answer_changed import RouteVersionAnswerChanged
    from .route_versions_answer import RouteVersionsAnswer
    from .rule_answer import RuleAnswer
    from .saved_view_answer import SavedViewAnswer
    from .savings_answer import SavingsAnswer
    from .scenario_enum import ScenarioEnum
    from .scope_enum import ScopeEnum
    from .scopes_enum import ScopesEnum
    from .self_host_body import SelfHostBody
    from .service_account_answer import ServiceAccountAnswer
    from .severity_enum import SeverityEnum
    from .share_answer import ShareAnswer
    from .sharing_enum import SharingEnum
    from .sign_on_answer import SignOnAnswer
    from .sign_on_kind import SignOnKind
    from .span_answer import SpanAnswer
    from .spend_answer import SpendAnswer
    from .spend_focus_retrieve_format import SpendFocusRetrieveFormat
    from .spread_answer import SpreadAnswer
    from .stage_enum import StageEnum
    from .standing_answer import StandingAnswer
    from .standing_answer_within_type_0 import StandingAnswerWithinType0
    from .standings_answer import StandingsAnswer
    from .status_enum import StatusEnum
    from .status_page_answer import StatusPageAnswer
    from .sticky_enum import StickyEnum
    from .story_answer import StoryAnswer
    from .story_answer_attempts_item import StoryAnswerAttemptsItem
    from .story_answer_refused_by import StoryAnswerRefusedBy
    from .story_answer_savings import StoryAnswerSavings
    from .story_answer_tags import StoryAnswerTags
    from .stripe_event_answer import StripeEventAnswer
    from .stripe_subscription_answer import StripeSubscriptionAnswer
    from .student_answer import StudentAnswer
    from .student_answer_evaluation import StudentAnswerEvaluation
    from .subscription_answer import SubscriptionAnswer
    from .subscription_answer_terms import SubscriptionAnswerTerms
    from .system_prompt_answer import SystemPromptAnswer
    from .system_prompt_answer_state_enum import SystemPromptAnswerStateEnum
    from .target import Target
    from .teacher_run_answer import TeacherRunAnswer
    from .threshold_answer import ThresholdAnswer
    from .thresholds_answer import ThresholdsAnswer
    from .tier_row import TierRow
    from .tokenizer_enum import TokenizerEnum
    from .totals_answer import TotalsAnswer
    from .totals_answer_savings import TotalsAnswerSavings
    from .traffic_body import TrafficBody
    from .training_job_answer import TrainingJobAnswer
    from .training_kind import TrainingKind
    from .transfer_answer import TransferAnswer
    from .tuned_model_answer import TunedModelAnswer
    from .tuned_model_answer_evaluation import TunedModelAnswerEvaluation
    from .tuned_model_answer_state_enum import TunedModelAnswerStateEnum
    from .tuned_models_export_retrieve_format import TunedModelsExportRetrieveFormat
    from .tuned_models_export_retrieve_weights import TunedModelsExportRetrieveWeights
    from .unit_enum import UnitEnum
    from .upstream_answer import UpstreamAnswer
    from .upstream_bill import UpstreamBill
    from .upstream_bill_columns import UpstreamBillColumns
    from .upstream_bill_openai import UpstreamBillOpenai
    from .upstream_endpoint_answer import UpstreamEndpointAnswer
    from .upstream_incident_answer import UpstreamIncidentAnswer
    from .upstream_kind import UpstreamKind
    from .upstream_state_answer import UpstreamStateAnswer
    from .upstream_state_answer_state_enum import UpstreamStateAnswerStateEnum
    from .upstream_states_answer import UpstreamStatesAnswer
    from .usd_band import UsdBand
    from .v1_requests_list_format import V1RequestsListFormat
    from .v1_requests_list_sort import V1RequestsListSort
    from .verdict_enum import VerdictEnum
    from .wallet_account import WalletAccount
    from .wallet_answer import WalletAnswer
    from .wallet_answer_accounts import WalletAnswerAccounts
    from .what_if_answer import WhatIfAnswer
    from .what_if_body import WhatIfBody
    from .within import Within

__all__ = (
    "AccountAnswer",
    "ActionEnum",
    "AdminTokenAnswer",
    "AgreedSubscription",
    "AgreedSubscriptionCoupon",
    "AgreedSubscriptionOverrides",
    "AgreementAnswer",
    "AlertAnswer",
    "AlertAnswerFigures",
    "AlertKind",
    "AlertsListKind",
    "AlertsListSeverity",
    "AlertsListState",
    "AnomaliesListScope",
    "AnomalyAnswer",
    "AnomalyAnswerDriverType0",
    "AppliesToEnum",
    "Approval",
    "ArmAnswer",
    "AuditAnswer",
    "AuditAnswerChanges",
    "BandAnswer",
    "BasisEnum",
    "BatchAnswer",
    "BatchBody",
    "BatchesListStatus",
    "BatchFileAnswer",
    "BillSourceAnswer",
    "BridgeAnswer",
    "BudgetAnswer",
    "BudgetAnswerWithinType0",
    "BudgetRequestAnswer",
    "BudgetRequestAnswerStateEnum",
    "BudgetUseRetrieveScope",
    "CacheBody",
    "CacheEntryAnswer",
    "CachePolicyAnswer",
    "CachePurgeAnswer",
    "CachePurgeKind",
    "CacheRequestAnswer",
    "CacheShadowAnswer",
    "CacheStatsAnswer",
    "CallAnswer",
    "CallAnswerRefusedBy",
    "CallAnswerSavings",
    "CallAnswerTags",
    "CallPage",
    "CapturePolicyAnswer",
    "CauseEnum",
    "ChainAnswer",
    "ChannelAnswer",
    "ChannelKind",
    "CollectionEnum",
    "ComparisonsAnswer",
    "CompressionPolicyAnswer",
    "CompressionSavingsAnswer",
    "Condition",
    "ConditionTags",
    "CreditNotesDocumentForm",
    "CreditNotesDocumentFormat",
    "CreditRefund",
    "CustomerAnswer",
    "CustomerAnswerCredit",
    "CustomerAnswerOwed",
    "DatasetAnswer",
    "DatasetVersionAnswer",
    "DatasetVersionAnswerLabels",
    "DatasetVersionAnswerLineage",
    "DatasetVersionAnswerStateEnum",
    "DatasetVersionsExportRetrieveFormat",
    "DatasetVersionsExportRetrievePart",
    "DayAnswer",
    "DaysBand",
    "DeliveriesListState",
    "DeliveryAnswer",
    "DeliveryAnswerStateEnum",
    "DemoRemoval",
    "Denial",
    "DigestEnum",
    "DistilAnswer",
    "DistilBody",
    "DomainAnswer",
    "DunningEnum",
    "EconomyAnswer",
    "EffectAnswer",
    "EndpointAnswer",
    "EndpointCostAnswer",
    "EndpointCostAnswerProjects",
    "EndpointEnd",
    "EndUserAnswer",
    "EndUserWithdrawal",
    "ErasedAnswer",
    "Erasure",
    "EventEnum",
    "ExceedingAnswer",
    "ExcessAnswer",
    "ExportFormat",
    "FinancePacksArchiveRetrieveFormat",
    "FindingEnum",
    "FineTuneBody",
    "ForecastAnswer",
    "Grant",
    "GroupAnswer",
    "GroupAnswerGroup",
    "GroupAnswerLabels",
    "GroupAnswerSavings",
    "Habits",
    "ImportAnswer",
    "IncreaseAnswer",
    "InForceAnswer",
    "InvitationAnswer",
    "InvoiceAnswer",
    "InvoiceAnswerGroupsItem",
    "InvoiceAnswerStateEnum",
    "InvoiceEvent",
    "InvoiceKind",
    "InvoicesDocumentForm",
    "InvoicesDocumentFormat",
    "JobState",
    "KeptAnswer",
    "KeptPointAnswer",
    "KeyAnswer",
    "LearnBody",
    "LearnedAnswer",
    "LearnedListAnswer",
    "LedgerBody",
    "LevelAnswer",
    "LineAnswer",
    "LineAnswerKindEnum",
    "LineCallAnswer",
    "LineCallsAnswer",
    "LinesAnswer",
    "ListBudgetRequestsState",
    "ListBudgetsScope",
    "ListPriceAnswer",
    "ListPriceAnswerFees",
    "ListPriceAnswerLongContextItem",
    "ListPriceAnswerServiceTiers",
    "ListPriceAnswerServiceTiersAdditionalProperty",
    "ListPriceChangeAnswer",
    "ListPriceChangeAnswerChanged",
    "LongContextRow",
    "LookupAnswer",
    "MatchAnswer",
    "MeasuredAnswer",
    "MechanismAnswer",
    "MemberAnswer",
    "MethodEnum",
    "MethodsEnum",
    "Mode",
    "ModelAnswer",
    "NewAccount",
    "NewAdminToken",
    "NewAdminTokenAnswer",
    "NewBillSource",
    "NewBucket",
    "NewBudget",
    "NewBudgetLadderItem",
    "NewBudgetLadderItemRung",
    "NewBudgetRequest",
    "NewCachePolicy",
    "NewCachePurge",
    "NewCapturePolicy",
    "NewChannel",
    "NewChannelAnswer",
    "NewCheckout",
    "NewCompressionPolicy",
    "NewCredits",
    "NewDataset",
    "NewDeployment",
    "NewDomain",
    "NewEndpoint",
    "NewEndUser",
    "NewExamples",
    "NewIncrease",
    "NewInvitationBody",
    "NewKeyAnswer",
    "NewKeyBody",
    "NewMember",
    "NewModel",
    "NewModelAnswer",
    "NewNote",
    "NewNoteLinesItem",
    "NewOrganization",
    "NewOrganizationAnswer",
    "NewPaidReplay",
    "NewPrice",
    "NewPriceAdjustment",
    "NewPriceFees",
    "NewPriceServiceTiers",
    "NewProject",
    "NewProviderDeployment",
    "NewProviderTuning",
    "NewRateLimit",
    "NewRerating",
    "NewRoute",
    "NewRule",
    "NewSavedView",
    "NewServiceAccount",
    "NewSignOn",
    "NewSubscription",
    "NewSystemPrompt",
    "NewTeacherRun",
    "NewTrainingJob",
    "NewTunedDeployment",
    "NewUpstream",
    "NewUpstreamEndpoint",
    "NewVersion",
    "NextInvoiceAnswer",
    "NextInvoiceAnswerGroupsItem",
    "OrganizationAnswer",
    "OutlookAnswer",
    "OutputLimitEnum",
    "PackAnswer",
    "PackToEnum",
    "PageAnswer",
    "PageEnum",
    "PaginatedAdminTokenAnswerList",
    "PaginatedAlertAnswerList",
    "PaginatedAnomalyAnswerList",
    "PaginatedAuditAnswerList",
    "PaginatedBatchAnswerList",
    "PaginatedBillSourceAnswerList",
    "PaginatedBudgetAnswerList",
    "PaginatedBudgetRequestAnswerList",
    "PaginatedCacheEntryAnswerList",
    "PaginatedCachePolicyAnswerList",
    "PaginatedCachePurgeAnswerList",
    "PaginatedCapturePolicyAnswerList",
    "PaginatedChannelAnswerList",
    "PaginatedCompressionPolicyAnswerList",
    "PaginatedDatasetAnswerList",
    "PaginatedDatasetVersionAnswerList",
    "PaginatedDeliveryAnswerList",
    "PaginatedDomainAnswerList",
    "PaginatedEndpointAnswerList",
    "PaginatedEndUserAnswerList",
    "PaginatedIncreaseAnswerList",
    "PaginatedInvitationAnswerList",
    "PaginatedInvoiceAnswerList",
    "PaginatedKeyAnswerList",
    "PaginatedListPriceAnswerList",
    "PaginatedMemberAnswerList",
    "PaginatedModelAnswerList",
    "PaginatedOrganizationAnswerList",
    "PaginatedPackAnswerList",
    "PaginatedPaidReplayAnswerList",
    "PaginatedPlanAnswerList",
    "PaginatedPriceAdjustmentAnswerList",
    "PaginatedPriceAnswerList",
    "PaginatedProjectAnswerList",
    "PaginatedProviderTuningAnswerList",
    "PaginatedRateLimitAnswerList",
    "PaginatedReratingAnswerList",
    "PaginatedRouteAnswerList",
    "PaginatedRuleAnswerList",
    "PaginatedSavedViewAnswerList",
    "PaginatedServiceAccountAnswerList",
    "PaginatedSignOnAnswerList",
    "PaginatedStudentAnswerList",
    "PaginatedSystemPromptAnswerList",
    "PaginatedTeacherRunAnswerList",
    "PaginatedTrainingJobAnswerList",
    "PaginatedTransferAnswerList",
    "PaginatedTunedModelAnswerList",
    "PaginatedUpstreamAnswerList",
    "PaginatedUpstreamEndpointAnswerList",
    "PaidReplayAnswer",
    "PartAnswer",
    "PartEnum",
    "PatchedAccountChanges",
    "PatchedBudgetChanges",
    "PatchedBudgetChangesLadderItem",
    "PatchedBudgetChangesLadderItemRung",
    "PatchedCachePolicyChanges",
    "PatchedCapturePolicyChanges",
    "PatchedChannelChanges",
    "PatchedCompressionPolicyChanges",
    "PatchedEndUserChanges",
    "PatchedKeyChanges",
    "PatchedMemberChanges",
    "PatchedModelChanges",
    "PatchedOrganizationChanges",
    "PatchedProjectChanges",
    "PatchedRateLimitChanges",
    "PatchedRouteChanges",
    "PatchedRuleChanges",
    "PatchedServiceAccountChanges",
    "PatchedSignOnChanges",
    "PatchedStudentChanges",
    "PatchedTunedModelChanges",
    "PatchedUpstreamChanges",
    "PatchedUpstreamEndpointChanges",
    "PeriodEnum",
    "PlanAnswer",
    "PlaygroundAnswer",
    "PlaygroundAnswerCandidatesItem",
    "PlaygroundAnswerRouteType0",
    "PlaygroundBody",
    "PlaygroundBodyBody",
    "PlaygroundBodyHeaders",
    "PointAnswer",
    "PolicyAnswer",
    "PreviewAnswer",
    "PriceAdjustmentAnswer",
    "PriceAdjustmentKind",
    "PriceAnswer",
    "PriceAnswerFees",
    "PriceAnswerLongContextItem",
    "PriceAnswerServiceTiers",
    "PriceAnswerServiceTiersAdditionalProperty",
    "ProbeAnswer",
    "Problem",
    "ProblemErrorsItem",
    "ProjectAnswer",
    "ProviderCacheAnswer",
    "ProviderTuningAnswer",
    "PublicKeyAnswer",
    "QualityAnswer",
    "RangeBody",
    "RateLimitAnswer",
    "RateLimitAnswerWithinType0",
    "RateLimitsListScope",
    "RatioAnswer",
    "ReconciledAnswer",
    "ReratingAnswer",
    "ReratingAnswerStateEnum",
    "RoiAnswer",
    "RoiBody",
    "RoiBodyRanges",
    "Role",
    "Rollback",
    "Rotation",
    "RouteAnswer",
    "RouteBody",
    "RouteKind",
    "RouteSavingsAnswer",
    "RouteVersionAnswer",
    "RouteVersionAnswerChanged",
    "RouteVersionsAnswer",
    "RuleAnswer",
    "SavedViewAnswer",
    "SavingsAnswer",
    "ScenarioEnum",
    "ScopeEnum",
    "ScopesEnum",
    "SelfHostBody",
    "ServiceAccountAnswer",
    "SeverityEnum",
    "ShareAnswer",
    "SharingEnum",
    "SignOnAnswer",
    "SignOnKind",
    "SpanAnswer",
    "SpendAnswer",
    "SpendFocusRetrieveFormat",
    "SpreadAnswer",
    "StageEnum",
    "StandingAnswer",
    "StandingAnswerWithinType0",
    "StandingsAnswer",
    "StatusEnum",
    "StatusPageAnswer",
    "StickyEnum",
    "StoryAnswer",
    "StoryAnswerAttemptsItem",
    "StoryAnswerRefusedBy",
    "StoryAnswerSavings",
    "StoryAnswerTags",
    "StripeEventAnswer",
    "StripeSubscriptionAnswer",
    "StudentAnswer",
    "StudentAnswerEvaluation",
    "SubscriptionAnswer",
    "SubscriptionAnswerTerms",
    "SystemPromptAnswer",
    "SystemPromptAnswerStateEnum",
    "Target",
    "TeacherRunAnswer",
    "ThresholdAnswer",
    "ThresholdsAnswer",
    "TierRow",
    "TokenizerEnum",
    "TotalsAnswer",
    "TotalsAnswerSavings",
    "TrafficBody",
    "TrainingJobAnswer",
    "TrainingKind",
    "TransferAnswer",
    "TunedModelAnswer",
    "TunedModelAnswerEvaluation",
    "TunedModelAnswerStateEnum",
    "TunedModelsExportRetrieveFormat",
    "TunedModelsExportRetrieveWeights",
    "UnitEnum",
    "UpstreamAnswer",
    "UpstreamBill",
    "UpstreamBillColumns",
    "UpstreamBillOpenai",
    "UpstreamEndpointAnswer",
    "UpstreamIncidentAnswer",
    "UpstreamKind",
    "UpstreamStateAnswer",
    "UpstreamStateAnswerStateEnum",
    "UpstreamStatesAnswer",
    "UsdBand",
    "V1RequestsListFormat",
    "V1RequestsListSort",
    "VerdictEnum",
    "WalletAccount",
    "WalletAnswer",
    "WalletAnswerAccounts",
    "WhatIfAnswer",
    "WhatIfBody",
    "Within",
)

_HOMES = {
    "AccountAnswer": "account_answer",
    "ActionEnum": "action_enum",
    "AdminTokenAnswer": "admin_token_answer",
    "AgreedSubscription": "agreed_subscription",
    "AgreedSubscriptionCoupon": "agreed_subscription_coupon",
    "AgreedSubscriptionOverrides": "agreed_subscription_overrides",
    "AgreementAnswer": "agreement_answer",
    "AlertAnswer": "alert_answer",
    "AlertAnswerFigures": "alert_answer_figures",
    "AlertKind": "alert_kind",
    "AlertsListKind": "alerts_list_kind",
    "AlertsListSeverity": "alerts_list_severity",
    "AlertsListState": "alerts_list_state",
    "AnomaliesListScope": "anomalies_list_scope",
    "AnomalyAnswer": "anomaly_answer",
    "AnomalyAnswerDriverType0": "anomaly_answer_driver_type_0",
    "AppliesToEnum": "applies_to_enum",
    "Approval": "approval",
    "ArmAnswer": "arm_answer",
    "AuditAnswer": "audit_answer",
    "AuditAnswerChanges": "audit_answer_changes",
    "BandAnswer": "band_answer",
    "BasisEnum": "basis_enum",
    "BatchAnswer": "batch_answer",
    "BatchBody": "batch_body",
    "BatchFileAnswer": "batch_file_answer",
    "BatchesListStatus": "batches_list_status",
    "BillSourceAnswer": "bill_source_answer",
    "BridgeAnswer": "bridge_answer",
    "BudgetAnswer": "budget_answer",
    "BudgetAnswerWithinType0": "budget_answer_within_type_0",
    "BudgetRequestAnswer": "budget_request_answer",
    "BudgetRequestAnswerStateEnum": "budget_request_answer_state_enum",
    "BudgetUseRetrieveScope": "budget_use_retrieve_scope",
    "CacheBody": "cache_body",
    "CacheEntryAnswer": "cache_entry_answer",
    "CachePolicyAnswer": "cache_policy_answer",
    "CachePurgeAnswer": "cache_purge_answer",
    "CachePurgeKind": "cache_purge_kind",
    "CacheRequestAnswer": "cache_request_answer",
    "CacheShadowAnswer": "cache_shadow_answer",
    "CacheStatsAnswer": "cache_stats_answer",
    "CallAnswer": "call_answer",
    "CallAnswerRefusedBy": "call_answer_refused_by",
    "CallAnswerSavings": "call_answer_savings",
    "CallAnswerTags": "call_answer_tags",
    "CallPage": "call_page",
    "CapturePolicyAnswer": "capture_policy_answer",
    "CauseEnum": "cause_enum",
    "ChainAnswer": "chain_answer",
    "ChannelAnswer": "channel_answer",
    "ChannelKind": "channel_kind",
    "CollectionEnum": "collection_enum",
    "ComparisonsAnswer": "comparisons_answer",
    "CompressionPolicyAnswer": "compression_policy_answer",
    "CompressionSavingsAnswer": "compression_savings_answer",
    "Condition": "condition",
    "ConditionTags": "condition_tags",
    "CreditNotesDocumentForm": "credit_notes_document_form",
    "CreditNotesDocumentFormat": "credit_notes_document_format",
    "CreditRefund": "credit_refund",
    "CustomerAnswer": "customer_answer",
    "CustomerAnswerCredit": "customer_answer_credit",
    "CustomerAnswerOwed": "customer_answer_owed",
    "DatasetAnswer": "dataset_answer",
    "DatasetVersionAnswer": "dataset_version_answer",
    "DatasetVersionAnswerLabels": "dataset_version_answer_labels",
    "DatasetVersionAnswerLineage": "dataset_version_answer_lineage",
    "DatasetVersionAnswerStateEnum": "dataset_version_answer_state_enum",
    "DatasetVersionsExportRetrieveFormat": "dataset_versions_export_retrieve_format",
    "DatasetVersionsExportRetrievePart": "dataset_versions_export_retrieve_part",
    "DayAnswer": "day_answer",
    "DaysBand": "days_band",
    "DeliveriesListState": "deliveries_list_state",
    "DeliveryAnswer": "delivery_answer",
    "DeliveryAnswerStateEnum": "delivery_answer_state_enum",
    "DemoRemoval": "demo_removal",
    "Denial": "denial",
    "DigestEnum": "digest_enum",
    "DistilAnswer": "distil_answer",
    "DistilBody": "distil_body",
    "DomainAnswer": "domain_answer",
    "DunningEnum": "dunning_enum",
    "EconomyAnswer": "economy_answer",
    "EffectAnswer": "effect_answer",
    "EndUserAnswer": "end_user_answer",
    "EndUserWithdrawal": "end_user_withdrawal",
    "EndpointAnswer": "endpoint_answer",
    "EndpointCostAnswer": "endpoint_cost_answer",
    "EndpointCostAnswerProjects": "endpoint_cost_answer_projects",
    "EndpointEnd": "endpoint_end",
    "ErasedAnswer": "erased_answer",
    "Erasure": "erasure",
    "EventEnum": "event_enum",
    "ExceedingAnswer": "exceeding_answer",
    "ExcessAnswer": "excess_answer",
    "ExportFormat": "export_format",
    "FinancePacksArchiveRetrieveFormat": "finance_packs_archive_retrieve_format",
    "FindingEnum": "finding_enum",
    "FineTuneBody": "fine_tune_body",
    "ForecastAnswer": "forecast_answer",
    "Grant": "grant",
    "GroupAnswer": "group_answer",
    "GroupAnswerGroup": "group_answer_group",
    "GroupAnswerLabels": "group_answer_labels",
    "GroupAnswerSavings": "group_answer_savings",
    "Habits": "habits",
    "ImportAnswer": "import_answer",
    "InForceAnswer": "in_force_answer",
    "IncreaseAnswer": "increase_answer",
    "InvitationAnswer": "invitation_answer",
    "InvoiceAnswer": "invoice_answer",
    "InvoiceAnswerGroupsItem": "invoice_answer_groups_item",
    "InvoiceAnswerStateEnum": "invoice_answer_state_enum",
    "InvoiceEvent": "invoice_event",
    "InvoiceKind": "invoice_kind",
    "InvoicesDocumentForm": "invoices_document_form",
    "InvoicesDocumentFormat": "invoices_document_format",
    "JobState": "job_state",
    "KeptAnswer": "kept_answer",
    "KeptPointAnswer": "kept_point_answer",
    "KeyAnswer": "key_answer",
    "LearnBody": "learn_body",
    "LearnedAnswer": "learned_answer",
    "LearnedListAnswer": "learned_list_answer",
    "LedgerBody": "ledger_body",
    "LevelAnswer": "level_answer",
    "LineAnswer": "line_answer",
    "LineAnswerKindEnum": "line_answer_kind_enum",
    "LineCallAnswer": "line_call_answer",
    "LineCallsAnswer": "line_calls_answer",
    "LinesAnswer": "lines_answer",
    "ListBudgetRequestsState": "list_budget_requests_state",
    "ListBudgetsScope": "list_budgets_scope",
    "ListPriceAnswer": "list_price_answer",
    "ListPriceAnswerFees": "list_price_answer_fees",
    "ListPriceAnswerLongContextItem": "list_price_answer_long_context_item",
    "ListPriceAnswerServiceTiers": "list_price_answer_service_tiers",
    "ListPriceAnswerServiceTiersAdditionalProperty": "list_price_answer_service_tiers_additional_property",
    "ListPriceChangeAnswer": "list_price_change_answer",
    "ListPriceChangeAnswerChanged": "list_price_change_answer_changed",
    "LongContextRow": "long_context_row",
    "LookupAnswer": "lookup_answer",
    "MatchAnswer": "match_answer",
    "MeasuredAnswer": "measured_answer",
    "MechanismAnswer": "mechanism_answer",
    "MemberAnswer": "member_answer",
    "MethodEnum": "method_enum",
    "MethodsEnum": "methods_enum",
    "Mode": "mode",
    "ModelAnswer": "model_answer",
    "NewAccount": "new_account",
    "NewAdminToken": "new_admin_token",
    "NewAdminTokenAnswer": "new_admin_token_answer",
    "NewBillSource": "new_bill_source",
    "NewBucket": "new_bucket",
    "NewBudget": "new_budget",
    "NewBudgetLadderItem": "new_budget_ladder_item",
    "NewBudgetLadderItemRung": "new_budget_ladder_item_rung",
    "NewBudgetRequest": "new_budget_request",
    "NewCachePolicy": "new_cache_policy",
    "NewCachePurge": "new_cache_purge",
    "NewCapturePolicy": "new_capture_policy",
    "NewChannel": "new_channel",
    "NewChannelAnswer": "new_channel_answer",
    "NewCheckout": "new_checkout",
    "NewCompressionPolicy": "new_compression_policy",
    "NewCredits": "new_credits",
    "NewDataset": "new_dataset",
    "NewDeployment": "new_deployment",
    "NewDomain": "new_domain",
    "NewEndUser": "new_end_user",
    "NewEndpoint": "new_endpoint",
    "NewExamples": "new_examples",
    "NewIncrease": "new_increase",
    "NewInvitationBody": "new_invitation_body",
    "NewKeyAnswer": "new_key_answer",
    "NewKeyBody": "new_key_body",
    "NewMember": "new_member",
    "NewModel": "new_model",
    "NewModelAnswer": "new_model_answer",
    "NewNote": "new_note",
    "NewNoteLinesItem": "new_note_lines_item",
    "NewOrganization": "new_organization",
    "NewOrganizationAnswer": "new_organization_answer",
    "NewPaidReplay": "new_paid_replay",
    "NewPrice": "new_price",
    "NewPriceAdjustment": "new_price_adjustment",
    "NewPriceFees": "new_price_fees",
    "NewPriceServiceTiers": "new_price_service_tiers",
    "NewProject": "new_project",
    "NewProviderDeployment": "new_provider_deployment",
    "NewProviderTuning": "new_provider_tuning",
    "NewRateLimit": "new_rate_limit",
    "NewRerating": "new_rerating",
    "NewRoute": "new_route",
    "NewRule": "new_rule",
    "NewSavedView": "new_saved_view",
    "NewServiceAccount": "new_service_account",
    "NewSignOn": "new_sign_on",
    "NewSubscription": "new_subscription",
    "NewSystemPrompt": "new_system_prompt",
    "NewTeacherRun": "new_teacher_run",
    "NewTrainingJob": "new_training_job",
    "NewTunedDeployment": "new_tuned_deployment",
    "NewUpstream": "new_upstream",
    "NewUpstreamEndpoint": "new_upstream_endpoint",
    "NewVersion": "new_version",
    "NextInvoiceAnswer": "next_invoice_answer",
    "NextInvoiceAnswerGroupsItem": "next_invoice_answer_groups_item",
    "OrganizationAnswer": "organization_answer",
    "OutlookAnswer": "outlook_answer",
    "OutputLimitEnum": "output_limit_enum",
    "PackAnswer": "pack_answer",
    "PackToEnum": "pack_to_enum",
    "PageAnswer": "page_answer",
    "PageEnum": "page_enum",
    "PaginatedAdminTokenAnswerList": "paginated_admin_token_answer_list",
    "PaginatedAlertAnswerList": "paginated_alert_answer_list",
    "PaginatedAnomalyAnswerList": "paginated_anomaly_answer_list",
    "PaginatedAuditAnswerList": "paginated_audit_answer_list",
    "PaginatedBatchAnswerList": "paginated_batch_answer_list",
    "PaginatedBillSourceAnswerList": "paginated_bill_source_answer_list",
    "PaginatedBudgetAnswerList": "paginated_budget_answer_list",
    "PaginatedBudgetRequestAnswerList": "paginated_budget_request_answer_list",
    "PaginatedCacheEntryAnswerList": "paginated_cache_entry_answer_list",
    "PaginatedCachePolicyAnswerList": "paginated_cache_policy_answer_list",
    "PaginatedCachePurgeAnswerList": "paginated_cache_purge_answer_list",
    "PaginatedCapturePolicyAnswerList": "paginated_capture_policy_answer_list",
    "PaginatedChannelAnswerList": "paginated_channel_answer_list",
    "PaginatedCompressionPolicyAnswerList": "paginated_compression_policy_answer_list",
    "PaginatedDatasetAnswerList": "paginated_dataset_answer_list",
    "PaginatedDatasetVersionAnswerList": "paginated_dataset_version_answer_list",
    "PaginatedDeliveryAnswerList": "paginated_delivery_answer_list",
    "PaginatedDomainAnswerList": "paginated_domain_answer_list",
    "PaginatedEndUserAnswerList": "paginated_end_user_answer_list",
    "PaginatedEndpointAnswerList": "paginated_endpoint_answer_list",
    "PaginatedIncreaseAnswerList": "paginated_increase_answer_list",
    "PaginatedInvitationAnswerList": "paginated_invitation_answer_list",
    "PaginatedInvoiceAnswerList": "paginated_invoice_answer_list",
    "PaginatedKeyAnswerList": "paginated_key_answer_list",
    "PaginatedListPriceAnswerList": "paginated_list_price_answer_list",
    "PaginatedMemberAnswerList": "paginated_member_answer_list",
    "PaginatedModelAnswerList": "paginated_model_answer_list",
    "PaginatedOrganizationAnswerList": "paginated_organization_answer_list",
    "PaginatedPackAnswerList": "paginated_pack_answer_list",
    "PaginatedPaidReplayAnswerList": "paginated_paid_replay_answer_list",
    "PaginatedPlanAnswerList": "paginated_plan_answer_list",
    "PaginatedPriceAdjustmentAnswerList": "paginated_price_adjustment_answer_list",
    "PaginatedPriceAnswerList": "paginated_price_answer_list",
    "PaginatedProjectAnswerList": "paginated_project_answer_list",
    "PaginatedProviderTuningAnswerList": "paginated_provider_tuning_answer_list",
    "PaginatedRateLimitAnswerList": "paginated_rate_limit_answer_list",
    "PaginatedReratingAnswerList": "paginated_rerating_answer_list",
    "PaginatedRouteAnswerList": "paginated_route_answer_list",
    "PaginatedRuleAnswerList": "paginated_rule_answer_list",
    "PaginatedSavedViewAnswerList": "paginated_saved_view_answer_list",
    "PaginatedServiceAccountAnswerList": "paginated_service_account_answer_list",
    "PaginatedSignOnAnswerList": "paginated_sign_on_answer_list",
    "PaginatedStudentAnswerList": "paginated_student_answer_list",
    "PaginatedSystemPromptAnswerList": "paginated_system_prompt_answer_list",
    "PaginatedTeacherRunAnswerList": "paginated_teacher_run_answer_list",
    "PaginatedTrainingJobAnswerList": "paginated_training_job_answer_list",
    "PaginatedTransferAnswerList": "paginated_transfer_answer_list",
    "PaginatedTunedModelAnswerList": "paginated_tuned_model_answer_list",
    "PaginatedUpstreamAnswerList": "paginated_upstream_answer_list",
    "PaginatedUpstreamEndpointAnswerList": "paginated_upstream_endpoint_answer_list",
    "PaidReplayAnswer": "paid_replay_answer",
    "PartAnswer": "part_answer",
    "PartEnum": "part_enum",
    "PatchedAccountChanges": "patched_account_changes",
    "PatchedBudgetChanges": "patched_budget_changes",
    "PatchedBudgetChangesLadderItem": "patched_budget_changes_ladder_item",
    "PatchedBudgetChangesLadderItemRung": "patched_budget_changes_ladder_item_rung",
    "PatchedCachePolicyChanges": "patched_cache_policy_changes",
    "PatchedCapturePolicyChanges": "patched_capture_policy_changes",
    "PatchedChannelChanges": "patched_channel_changes",
    "PatchedCompressionPolicyChanges": "patched_compression_policy_changes",
    "PatchedEndUserChanges": "patched_end_user_changes",
    "PatchedKeyChanges": "patched_key_changes",
    "PatchedMemberChanges": "patched_member_changes",
    "PatchedModelChanges": "patched_model_changes",
    "PatchedOrganizationChanges": "patched_organization_changes",
    "PatchedProjectChanges": "patched_project_changes",
    "PatchedRateLimitChanges": "patched_rate_limit_changes",
    "PatchedRouteChanges": "patched_route_changes",
    "PatchedRuleChanges": "patched_rule_changes",
    "PatchedServiceAccountChanges": "patched_service_account_changes",
    "PatchedSignOnChanges": "patched_sign_on_changes",
    "PatchedStudentChanges": "patched_student_changes",
    "PatchedTunedModelChanges": "patched_tuned_model_changes",
    "PatchedUpstreamChanges": "patched_upstream_changes",
    "PatchedUpstreamEndpointChanges": "patched_upstream_endpoint_changes",
    "PeriodEnum": "period_enum",
    "PlanAnswer": "plan_answer",
    "PlaygroundAnswer": "playground_answer",
    "PlaygroundAnswerCandidatesItem": "playground_answer_candidates_item",
    "PlaygroundAnswerRouteType0": "playground_answer_route_type_0",
    "PlaygroundBody": "playground_body",
    "PlaygroundBodyBody": "playground_body_body",
    "PlaygroundBodyHeaders": "playground_body_headers",
    "PointAnswer": "point_answer",
    "PolicyAnswer": "policy_answer",
    "PreviewAnswer": "preview_answer",
    "PriceAdjustmentAnswer": "price_adjustment_answer",
    "PriceAdjustmentKind": "price_adjustment_kind",
    "PriceAnswer": "price_answer",
    "PriceAnswerFees": "price_answer_fees",
    "PriceAnswerLongContextItem": "price_answer_long_context_item",
    "PriceAnswerServiceTiers": "price_answer_service_tiers",
    "PriceAnswerServiceTiersAdditionalProperty": "price_answer_service_tiers_additional_property",
    "ProbeAnswer": "probe_answer",
    "Problem": "problem",
    "ProblemErrorsItem": "problem_errors_item",
    "ProjectAnswer": "project_answer",
    "ProviderCacheAnswer": "provider_cache_answer",
    "ProviderTuningAnswer": "provider_tuning_answer",
    "PublicKeyAnswer": "public_key_answer",
    "QualityAnswer": "quality_answer",
    "RangeBody": "range_body",
    "RateLimitAnswer": "rate_limit_answer",
    "RateLimitAnswerWithinType0": "rate_limit_answer_within_type_0",
    "RateLimitsListScope": "rate_limits_list_scope",
    "RatioAnswer": "ratio_answer",
    "ReconciledAnswer": "reconciled_answer",
    "ReratingAnswer": "rerating_answer",
    "ReratingAnswerStateEnum": "rerating_answer_state_enum",
    "RoiAnswer": "roi_answer",
    "RoiBody": "roi_body",
    "RoiBodyRanges": "roi_body_ranges",
    "Role": "role",
    "Rollback": "rollback",
    "Rotation": "rotation",
    "RouteAnswer": "route_answer",
    "RouteBody": "route_body",
    "RouteKind": "route_kind",
    "RouteSavingsAnswer": "route_savings_answer",
    "RouteVersionAnswer": "route_version_answer",
    "RouteVersionAnswerChanged": "route_version_answer_changed",
    "RouteVersionsAnswer": "route_versions_answer",
    "RuleAnswer": "rule_answer",
    "SavedViewAnswer": "saved_view_answer",
    "SavingsAnswer": "savings_answer",
    "ScenarioEnum": "scenario_enum",
    "ScopeEnum": "scope_enum",
    "ScopesEnum": "scopes_enum",
    "SelfHostBody": "self_host_body",
    "ServiceAccountAnswer": "service_account_answer",
    "SeverityEnum": "severity_enum",
    "ShareAnswer": "share_answer",
    "SharingEnum": "sharing_enum",
    "SignOnAnswer": "sign_on_answer",
    "SignOnKind": "sign_on_kind",
    "SpanAnswer": "span_answer",
    "SpendAnswer": "spend_answer",
    "SpendFocusRetrieveFormat": "spend_focus_retrieve_format",
    "SpreadAnswer": "spread_answer",
    "StageEnum": "stage_enum",
    "StandingAnswer": "standing_answer",
    "StandingAnswerWithinType0": "standing_answer_within_type_0",
    "StandingsAnswer": "standings_answer",
    "StatusEnum": "status_enum",
    "StatusPageAnswer": "status_page_answer",
    "StickyEnum": "sticky_enum",
    "StoryAnswer": "story_answer",
    "StoryAnswerAttemptsItem": "story_answer_attempts_item",
    "StoryAnswerRefusedBy": "story_answer_refused_by",
    "StoryAnswerSavings": "story_answer_savings",
    "StoryAnswerTags": "story_answer_tags",
    "StripeEventAnswer": "stripe_event_answer",
    "StripeSubscriptionAnswer": "stripe_subscription_answer",
    "StudentAnswer": "student_answer",
    "StudentAnswerEvaluation": "student_answer_evaluation",
    "SubscriptionAnswer": "subscription_answer",
    "SubscriptionAnswerTerms": "subscription_answer_terms",
    "SystemPromptAnswer": "system_prompt_answer",
    "SystemPromptAnswerStateEnum": "system_prompt_answer_state_enum",
    "Target": "target",
    "TeacherRunAnswer": "teacher_run_answer",
    "ThresholdAnswer": "threshold_answer",
    "ThresholdsAnswer": "thresholds_answer",
    "TierRow": "tier_row",
    "TokenizerEnum": "tokenizer_enum",
    "TotalsAnswer": "totals_answer",
    "TotalsAnswerSavings": "totals_answer_savings",
    "TrafficBody": "traffic_body",
    "TrainingJobAnswer": "training_job_answer",
    "TrainingKind": "training_kind",
    "TransferAnswer": "transfer_answer",
    "TunedModelAnswer": "tuned_model_answer",
    "TunedModelAnswerEvaluation": "tuned_model_answer_evaluation",
    "TunedModelAnswerStateEnum": "tuned_model_answer_state_enum",
    "TunedModelsExportRetrieveFormat": "tuned_models_export_retrieve_format",
    "TunedModelsExportRetrieveWeights": "tuned_models_export_retrieve_weights",
    "UnitEnum": "unit_enum",
    "UpstreamAnswer": "upstream_answer",
    "UpstreamBill": "upstream_bill",
    "UpstreamBillColumns": "upstream_bill_columns",
    "UpstreamBillOpenai": "upstream_bill_openai",
    "UpstreamEndpointAnswer": "upstream_endpoint_answer",
    "UpstreamIncidentAnswer": "upstream_incident_answer",
    "UpstreamKind": "upstream_kind",
    "UpstreamStateAnswer": "upstream_state_answer",
    "UpstreamStateAnswerStateEnum": "upstream_state_answer_state_enum",
    "UpstreamStatesAnswer": "upstream_states_answer",
    "UsdBand": "usd_band",
    "V1RequestsListFormat": "v1_requests_list_format",
    "V1RequestsListSort": "v1_requests_list_sort",
    "VerdictEnum": "verdict_enum",
    "WalletAccount": "wallet_account",
    "WalletAnswer": "wallet_answer",
    "WalletAnswerAccounts": "wallet_answer_accounts",
    "WhatIfAnswer": "what_if_answer",
    "WhatIfBody": "what_if_body",
    "Within": "within",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
