const { CompleteAsyncError } = require('@temporalio/activity');

// Left open for whoever completes it by its id.
exports.FlowCallback = async () => { throw new CompleteAsyncError(); };
