const { scheduleActivity } = require('@temporalio/workflow');

exports.orderApproval = async (order) =>
  await scheduleActivity('FlowCallback', [{ order }], {
    activityId: 'approve', scheduleToCloseTimeout: '24h', retry: { maximumAttempts: 1 },
  });
